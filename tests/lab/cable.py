"""The cable between this machine and the box: two TUN devices joined by a delay line, as a program of its own.

The kernel's own emulator (``tc netem``) is not available everywhere, so packets pass through this process. With
virtio headers and segmentation offload a "packet" is up to 64 kB, which is what makes Python quick enough.

It is run as ``python -I -S cable.py FOLDER``, prints one line of JSON when it is ready, takes orders on
the socket ``FOLDER/cable``, and ends when its stdin does: the devices are not persistent, so nothing of it can stay.
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
from collections import deque
from time import monotonic

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, IFF_TUN_EXCL = 0x0001, 0x1000, 0x4000, 0x8000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 0x01, 0x02, 0x04
CLONE_NEWNET = 0x40000000
LARGEST_PACKET = 65536 + 64
PACKETS_PER_TURN = 64
MAX_LABS = 200


class Cable:
    """Two directions of a delay line, and the orders that change it.

    Args:
        folder: Where the control socket is made.
    """

    def __init__(self, folder: str) -> None:
        self.delay = 0.0
        self.loss = 0.0
        self.is_down = False
        self.laptop, self.number = first_free_device()
        self.laptop_address = f"198.18.{self.number}.1"
        self.box_address = f"198.18.{self.number}.2"
        self.box: int | None = None
        self.buffer = bytearray(LARGEST_PACKET)  # one for all: memory fresh from the kernel costs more than the copy
        self.buffer_view = memoryview(self.buffer)
        self.towards_box: deque[tuple[float, bytes]] = deque()
        self.towards_laptop: deque[tuple[float, bytes]] = deque()
        bring_up(f"lab{self.number}", self.laptop_address)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.bind(f"{folder}/cable")
        self.control.listen()

    def state(self) -> dict[str, object]:
        return {
            "device": f"lab{self.number}",
            "laptop_address": self.laptop_address,
            "box_address": self.box_address,
            "delay": self.delay,
            "loss": self.loss,
            "down": self.is_down,
        }

    def obey(self, order: dict[str, object]) -> None:
        """Carry out one order; its keys are names of what to change."""
        for name, value in order.items():
            match name, value:
                case "plug", int(pid):
                    self.plug(pid)
                case "unplug", _:
                    self.unplug()
                case "delay", float() | int():
                    self.delay = float(value)
                case "loss", float() | int():
                    self.loss = float(value)
                    self.set_offload()
                case "down", bool():
                    self.is_down = value
                    self.towards_box.clear()
                    self.towards_laptop.clear()
                case "laptop_address", str():
                    run_ip("address", "delete", f"{self.laptop_address}/24", "dev", f"lab{self.number}")
                    run_ip("address", "add", f"{value}/24", "dev", f"lab{self.number}")
                    self.laptop_address = value
                case _:
                    raise ValueError(f"no such order: {name} {value!r}")

    def plug(self, pid: int) -> None:
        """Give the network namespace of a process the other end of the cable."""
        self.unplug()
        with in_network_of(pid):
            self.box = open_tun("lab", exclusive=True)
            bring_up("lab", self.box_address)
        self.set_offload()

    def unplug(self) -> None:
        if self.box is not None:
            os.close(self.box)
            self.box = None
        self.towards_box.clear()
        self.towards_laptop.clear()

    def set_offload(self) -> None:
        # A lost "packet" of 64 kB would be 45 lost packets of a real network: with loss, the kernel cuts them.
        segments = 0 if self.loss else TUN_F_TSO4 | TUN_F_TSO6
        for tun in (self.laptop, self.box):
            if tun is not None:
                fcntl.ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | segments)

    def answer(self) -> None:
        connection, _ = self.control.accept()
        with connection:
            connection.settimeout(1)
            try:
                order = json.loads(connection.makefile().readline())
                self.obey(order)
                reply = self.state()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(reply).encode() + b"\n")

    def take(self, source: int, line: deque[tuple[float, bytes]], target: int | None) -> None:
        """Read what one end sends, and put it on the line or, without delay, out at the other end."""
        due = monotonic() + self.delay
        for _ in range(PACKETS_PER_TURN):
            try:
                size = os.readv(source, (self.buffer,))
            except BlockingIOError:
                return
            except OSError:  # the box, its network and so this device are gone
                self.unplug()
                return
            if self.is_down or target is None or (self.loss and random.random() < self.loss):
                continue
            packet = self.buffer_view[:size]
            if self.delay or line:
                line.append((due, bytes(packet)))
            else:
                put(target, packet)

    def deliver(self, line: deque[tuple[float, bytes]], target: int | None) -> float | None:
        """Put out what is due; return the seconds until the next packet is."""
        now = monotonic()
        while line:
            due, packet = line[0]
            if due > now:
                return due - now
            line.popleft()
            if target is not None:
                put(target, packet)
        return None

    def run(self) -> None:
        """Carry packets until stdin ends."""
        while True:
            waits = [
                wait
                for wait in (
                    self.deliver(self.towards_box, self.box),
                    self.deliver(self.towards_laptop, self.laptop),
                )
                if wait is not None
            ]
            ends = [self.laptop] if self.box is None else [self.laptop, self.box]
            sources: list[int | socket.socket] = [0, self.control, *ends]
            ready, _, _ = select.select(sources, [], [], min(waits, default=None))
            for source in ready:
                if source is self.control:
                    self.answer()
                    break  # the order may have changed the ends
                if source == 0:
                    if not os.read(0, 64):
                        return
                elif source == self.laptop:
                    self.take(self.laptop, self.towards_box, self.box)
                elif self.box is not None:
                    self.take(self.box, self.towards_laptop, self.laptop)


def put(target: int, packet: bytes | memoryview) -> None:
    # The kernel refuses a packet when the device is not up (yet, or any more): it is lost, as on a real network.
    with contextlib.suppress(OSError):
        os.write(target, packet)


def open_tun(name: str, *, exclusive: bool) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (IFF_TUN_EXCL if exclusive else 0)
    try:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError:
        os.close(tun)
        raise
    return tun


def first_free_device() -> tuple[int, int]:
    """Open the first ``labN`` that nobody has: the kernel settles who gets which, also between chroots."""
    for number in range(MAX_LABS):
        try:
            return open_tun(f"lab{number}", exclusive=True), number
        except OSError as error:
            last = error
    raise last


def bring_up(device: str, address: str) -> None:
    run_ip("link", "set", device, "txqueuelen", "10000", "up")
    run_ip("address", "add", f"{address}/24", "dev", device)


def run_ip(*words: str) -> None:
    result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise OSError(f"ip {' '.join(words)}: {result.stderr.strip()}")


@contextlib.contextmanager
def in_network_of(pid: int):  # type: ignore[no-untyped-def]
    """Be in the network namespace of another process for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
        os.close(there)


def main() -> None:
    gc.disable()  # nothing here makes cycles, and a collection would be felt as jitter
    with contextlib.suppress(OSError):
        os.nice(-10)  # a network does not slow down because its machine has much to do
    cable = Cable(sys.argv[1])
    print(json.dumps(cable.state()), flush=True)
    cable.run()


if __name__ == "__main__":
    main()
