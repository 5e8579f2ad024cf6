"""What runs on the host for a transfer: it hears the order on its stdin, and is the other end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Literal

from simmate_remote.errors import FilesError, ProtocolError, SimmateRemoteError, TargetFolderError, error_to_dict
from simmate_remote.files.host.frames import MAX_CONTENT, FrameReader, FrameWriter, Kind
from simmate_remote.files.host.order import Order, Tally
from simmate_remote.files.host.receiving import Receiver
from simmate_remote.files.host.sending import Sender
from simmate_remote.files.host.sources import Walk, find_sources
from simmate_remote.files.host.target import Tree

Role = Literal["sender", "receiver"]


def take_part(
    order: Order,
    role: Role,
    reader: FrameReader,
    writer: FrameWriter,
    tally: Tally,
    hang_up: Callable[[], None] | None = None,
) -> None:
    """Be one end of a transfer.

    Args:
        order: What is to be done.
        role: Which end.
        reader: Frames from the other end.
        writer: Frames to it.
        tally: Counts what is done.
        hang_up: Ends the connection; None: this process ends with the transfer.

    Raises:
        SimmateRemoteError: It could not be done.
        EOFError: The other end went away.
        OSError: The same.
    """
    if role == "receiver":
        to = os.path.expanduser(order.to) if order.direction == "push" else order.to
        tree = Tree(os.fsencode(to or "."), dry_run=order.dry_run)
        Receiver(reader, writer, tally, tree, dry_run=order.dry_run, checksum=order.checksum).run()
        return
    sender = Sender(reader, writer, tally, dry_run=order.dry_run, hang_up=hang_up)
    sources = find_sources(order.paths, expand=order.direction == "pull", report=sender.report)
    sender.run(iter(Walk(sources, sender.report)))


def write_order(order: Order, writer: FrameWriter) -> None:
    """Tell the other end what to do.

    Args:
        order: All of it; what is sent is named only to who sends it.
        writer: Frames to the other end.
    """
    packed = (order._replace(paths=()) if order.direction == "push" else order).packed()
    for position in range(0, len(packed) + 1, MAX_CONTENT):
        writer.add(Kind.ORDER, packed[position : position + MAX_CONTENT])
    writer.flush()


def read_order(reader: FrameReader) -> Order:
    """Hear what is to be done.

    Args:
        reader: Frames from the near end.

    Raises:
        ProtocolError: It is none.
        EOFError: The near end went away.
    """
    packed = bytearray()
    while True:
        kind, content = reader.next()
        if kind is not Kind.ORDER:
            raise ProtocolError(f"the near end begins with an order, and not with {kind.name}")
        packed += content
        if len(content) < MAX_CONTENT:
            return Order.unpacked(memoryview(packed))


def main() -> None:
    """Serve one transfer."""
    reader, writer = FrameReader(lambda view: os.readv(0, [view])), FrameWriter(lambda pieces: os.writev(1, pieces))
    try:
        try:
            order = read_order(reader)
            _go_home()
            take_part(order, "receiver" if order.direction == "push" else "sender", reader, writer, Tally())
        except SimmateRemoteError as error:
            _give_up(error, reader, writer)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except EOFError:
            raise
        except Exception as error:  # noqa: BLE001 - it must not end in words among the frames
            reason = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            _give_up(FilesError(f"the other side cannot go on: {reason}"), reader, writer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the near end went away; what was begun is kept


def _go_home() -> None:
    home = os.path.expanduser("~")
    try:
        os.chdir(home)
    except OSError as error:
        raise TargetFolderError(f"the home there, {home}, cannot be entered: {error.strerror}") from error


def _give_up(error: SimmateRemoteError, reader: FrameReader, writer: FrameWriter) -> None:
    """Say why, and hear the rest: what is written to a connection that is closed at once may never arrive."""
    writer.add(Kind.FATAL, json.dumps(error_to_dict(error)).encode())
    writer.flush()
    while True:
        reader.next()


if __name__ == "__main__":
    main()
