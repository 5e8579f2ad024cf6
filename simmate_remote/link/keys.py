"""The keys that a machine is offered: from the agent and from files, in the order in which ssh offers them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from simmate_remote.link.base import Prompt
from simmate_remote.link.known_hosts import fingerprint
from simmate_remote.link.questions import Questions
from simmate_remote.link.settings import HostSettings

_AGENT_PATIENCE = 5.0  # seconds for the list of its keys; a forwarded agent whose connection died says nothing at all
_OPENSSH_MAGIC = b"openssh-key-v1\0"

Unlocked = dict[Path, asyncssh.SSHKey]
"""Keys whose passphrase was typed in this login, so that a jump host and the host behind it ask once."""


@dataclass
class _Identity:
    """An IdentityFile: a private key, or only the public half of one that the agent holds."""

    path: Path
    private: bytes | None
    public: asyncssh.SSHKey | None
    certificates: list[asyncssh.SSHCertificate]


class KeyRing:
    """Give the keys for one machine, one after another.

    Args:
        settings: What the configuration says about the machine.
        questions: Who knows the passphrases.
        unlocked: Keys that were unlocked before; it is added to.
    """

    def __init__(self, settings: HostSettings, questions: Questions, unlocked: Unlocked) -> None:
        self._settings = settings
        self._questions = questions
        self._unlocked = unlocked
        self._agent: asyncssh.SSHAgentClient | None = None
        self._keys = self._all()
        self.offered: list[str] = []
        self.notes: list[str] = []
        if provider := settings.value("pkcs11provider"):
            self.notes.append(f"PKCS11Provider is not used: give its keys to the agent with ssh-add -s {provider}")

    async def next(self) -> asyncssh.SSHKeyPair | None:
        """Return the next key, or ``None`` when all were given."""
        async for key, origin in self._keys:
            kind = key.get_algorithm()
            self.offered.append(f"{kind} {fingerprint(key.key_public_data)} ({origin})")
            return key
        return None

    async def close(self) -> None:
        """Let go of the agent."""
        await self._keys.aclose()
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()

    async def _all(self) -> AsyncGenerator[tuple[asyncssh.SSHKeyPair, str], None]:
        identities = await asyncio.to_thread(self._read_identities)
        agent_keys = await self._agent_keys()
        by_blob = {key.key_public_data: key for key in agent_keys}
        in_agent = [one for one in identities if one.public and one.public.public_data in by_blob]
        first = {one.public.public_data for one in in_agent if one.public}
        for one in in_agent:
            assert one.public is not None
            agent_key = by_blob[one.public.public_data]
            for certificate in one.certificates:
                yield agent_key.certified(certificate), f"{one.path} with certificate, in the agent"
            yield agent_key, f"{one.path}, in the agent"
        if not self._settings.flag("identitiesonly", default=False):
            for blob, agent_key in by_blob.items():
                if blob not in first:
                    yield agent_key, f"{agent_key.get_comment(errors='replace') or 'no name'}, in the agent"
        for one in identities:
            if one not in in_agent and one.private is not None:
                async for pair, origin in self._from_file(one):
                    yield pair, origin

    async def _from_file(self, one: _Identity) -> AsyncGenerator[tuple[asyncssh.SSHKeyPair, str], None]:
        assert one.private is not None
        key: asyncssh.SSHKey | None = self._unlocked.get(one.path)
        if key is None and is_encrypted(one.private):
            if not self._questions.possible():
                self.notes.append(f"{one.path} has a passphrase, and nobody can be asked for it")
                return
            if one.public is not None:
                for certificate in one.certificates:
                    yield LockedKey(one.public, certificate, self, one), f"{one.path} with certificate"
                yield LockedKey(one.public, None, self, one), str(one.path)
                return
            key = await self.unlock(one.path, one.private)
            if key is None:
                return
        if key is None:
            try:
                key = asyncssh.import_private_key(one.private)
            except (ValueError, asyncssh.KeyImportError) as error:
                self.notes.append(f"{one.path} cannot be used: {error}")
                return
        for certificate in one.certificates:
            yield asyncssh.load_keypairs((key, certificate))[0], f"{one.path} with certificate"
        yield asyncssh.load_keypairs(key)[0], str(one.path)

    async def unlock(self, path: Path, content: bytes) -> asyncssh.SSHKey | None:
        """Ask for a passphrase, several times if need be; an empty answer leaves the key out, as with ssh."""
        if path in self._unlocked:
            return self._unlocked[path]
        for attempt in range(self._settings.number("numberofpasswordprompts", 3)):
            again = "This was not the passphrase." if attempt else ""
            passphrase = await self._questions(Prompt("passphrase", f"Passphrase for the key {path}: ", detail=again))
            if not passphrase:
                break
            try:
                # In a thread: deriving the key from the passphrase is slow on purpose.
                key = await asyncio.to_thread(asyncssh.import_private_key, content, passphrase)
            except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError):
                continue
            self._unlocked[path] = key
            return key
        self.notes.append(f"{path} was not unlocked")
        return None

    def _read_identities(self) -> list[_Identity]:
        certificates = [
            certificate
            for path in self._settings.paths("certificatefile")
            for certificate in self._read_certificates(path, complain=True)
        ]
        found: dict[Path, _Identity] = {}
        for path in self._settings.paths("identityfile"):
            if path in found:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                content = b""
            except OSError as error:
                self.notes.append(f"{path} cannot be read: {error.strerror}")
                continue
            public = _read_public(Path(f"{path}.pub")) or _read_public(path)
            private = content if b"PRIVATE KEY-----" in content else None
            if private is None and public is None:
                continue
            own = self._read_certificates(Path(f"{path}-cert.pub"), complain=False)
            if public is None and private is not None and not is_encrypted(private):
                public = _public_half(private)
            mine = [one for one in certificates + own if public and one.key.public_data == public.public_data]
            found[path] = _Identity(path, private, public, mine)
        return list(found.values())

    def _read_certificates(self, path: Path, *, complain: bool) -> list[asyncssh.SSHCertificate]:
        try:
            return list(asyncssh.read_certificate_list(path))
        except (OSError, asyncssh.KeyImportError) as error:
            if complain:
                self.notes.append(f"CertificateFile {path} cannot be used: {error}")
            return []

    async def _agent_keys(self) -> list[AgentKey]:
        path = self._agent_path()
        if not path:
            return []
        self._agent = asyncssh.SSHAgentClient(path)
        try:
            async with asyncio.timeout(_AGENT_PATIENCE):
                return [AgentKey(self._agent, self._questions, key) for key in await self._agent.get_keys()]
        except (ValueError, TimeoutError) as error:
            self.notes.append(f"the agent at {path} does not answer: {str(error) or 'it is silent'}")
            return []

    def _agent_path(self) -> str:
        lines = self._settings.options.get("identityagent")
        named = lines[0] if lines else "SSH_AUTH_SOCK"
        if named.lower() == "none":
            return ""
        if named == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK", "")
        if named.startswith("$") and not named.startswith("${"):
            return os.environ.get(named[1:], "")
        return str(self._settings.paths("identityagent")[0])


class AgentKey(asyncssh.SSHAgentKeyPair):
    """A key in the agent, which may wait for a person to confirm, or to touch it."""

    def __init__(self, agent: asyncssh.SSHAgentClient, questions: Questions, key: asyncssh.SSHKeyPair) -> None:
        super().__init__(agent, key.algorithm, key.public_data, key.get_comment_bytes() or b"")
        self._client = agent
        self._questions = questions

    async def sign_async(self, data: bytes) -> bytes:
        """Sign, and give the person time."""
        with self._questions.waiting():
            return await super().sign_async(data)

    def certified(self, certificate: asyncssh.SSHCertificate) -> AgentKey:
        """Return the same key, shown with a certificate."""
        key = AgentKey(self._client, self._questions, self)
        key.set_certificate(certificate)
        return key


class LockedKey(asyncssh.SSHKeyPair):
    """A key whose passphrase is asked for only when the server wants this very key."""

    _key_type = "local"

    def __init__(
        self, public: asyncssh.SSHKey, certificate: asyncssh.SSHCertificate | None, ring: KeyRing, identity: _Identity
    ) -> None:
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            None,
            certificate,
        )
        self._ring = ring
        self._identity = identity

    async def sign_async(self, data: bytes) -> bytes:
        """Sign, as asyncssh asks it; a :class:`ValueError` makes it go on with the next key."""
        assert self._identity.private is not None
        key = await self._ring.unlock(self._identity.path, self._identity.private)
        if key is None:
            raise ValueError("the key was not unlocked")
        return key.sign(data, self.sig_algorithm)


def is_encrypted(content: bytes) -> bool:
    """Say whether a file of a private key needs a passphrase."""
    if b"ENCRYPTED" in content:
        return True
    match = re.search(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", content, re.DOTALL)
    if match is None:
        return False
    try:
        body = base64.b64decode(match[1])
    except binascii.Error:
        return False
    return body.startswith(_OPENSSH_MAGIC) and not body[len(_OPENSSH_MAGIC) + 4 :].startswith(b"none")


def _read_public(path: Path) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.read_public_key(path)
    except (OSError, asyncssh.KeyImportError):
        return None


def _public_half(private: bytes) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.import_private_key(private).convert_to_public()
    except (ValueError, asyncssh.KeyImportError):
        return None
