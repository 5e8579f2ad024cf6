"""Why ``ssh`` ended: its last words, translated into the errors of every link."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Sequence

from simmate_remote.errors import LinkError
from simmate_remote.link import failures
from simmate_remote.link.hop import Hop
from simmate_remote.link.known_hosts import KnownHosts, KnownKey
from simmate_remote.link.openssh.trace import Stage, Trace
from simmate_remote.link.questions import Questions

_UNREACHABLE = {
    os.strerror(number): number
    for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN,
                   errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.ECONNRESET)
}  # fmt: skip
_CONNECT = re.compile(r"connect to (?:host|address) .*: (?P<why>[^:]+)$", re.MULTILINE)
_RESOLVE = re.compile(r"^ssh: Could not resolve hostname .*: (?P<why>[^:]+)$", re.MULTILINE)
_NO_WAY = re.compile(r"^channel \d+: open failed: (?P<why>.*)$", re.MULTILINE)
_DENIED = re.compile(
    r"Permission denied \(|Too many authentication failures|No more authentication methods|: auth fail"
)
_NO_AGREEMENT = re.compile(r"Unable to negotiate with [^:]*: (?P<why>.*)$", re.MULTILINE)
_WRONG_CONFIG = re.compile(
    r"^(?:command-line.*|.*: line \d+: .*|.*terminating, \d+ bad configuration options.*|.*unknown (?:key|command).*)$",
    re.MULTILINE,
)
_OFFENDING = re.compile(r"^Offending \S+ key in (?P<file>.*):(?P<line>\d+)$", re.MULTILINE)
_UNREADABLE = re.compile(r"^Error checking host key .*$", re.MULTILINE)
_NOT_SSH = re.compile(r"banner line (?:contains invalid|too long)|invalid characters|line too long", re.IGNORECASE)
_REVOKED = re.compile(r"REVOKED HOST KEY|is revoked|marked as revoked|revoked by file", re.IGNORECASE)


def explain(
    way: Sequence[Hop],
    known: Sequence[KnownHosts],
    trace: Trace,
    questions: Questions,
    *,
    can_ask: bool,
    key_declined: bool,
) -> LinkError:
    """Return the error of a login that did not succeed.

    Args:
        way: The machines on the way.
        known: What known_hosts says about each.
        trace: What ssh has printed.
        questions: Who was asked.
        can_ask: Whether the caller knew anybody to ask.
        key_declined: Whether a person refused the host's key.
    """
    hop, stage = way[trace.number - 1], trace.now
    said = "\n".join(stage.said)
    if found := _RESOLVE.search(said):
        again = found["why"] == "Temporary failure in name resolution"
        return failures.not_resolved(
            hop, socket.gaierror(socket.EAI_AGAIN if again else socket.EAI_NONAME, found["why"])
        )
    if trace.number > 1 and not stage.greeted and (found := _NO_WAY.search(said)):
        return failures.no_way_through(hop, found["why"], forbidden="prohibited" in found["why"])
    if not stage.greeted:
        return _not_greeted(hop, trace, said)
    if "Host key verification failed" in said:
        return _key_refused(hop, known[trace.number - 1], stage, said, declined=key_declined)
    if found := _NO_AGREEMENT.search(said):
        return failures.no_common_algorithm(hop, found["why"])
    if questions.declined or _DENIED.search(said):
        return _not_authenticated(hop, trace, questions, can_ask=can_ask)
    why = stage.said[-1] if stage.said else "it gave no reason"
    return failures.broken_off(hop, why, stage.step)


def _not_greeted(hop: Hop, trace: Trace, said: str) -> LinkError:
    """Nothing that speaks SSH answered."""
    if found := _CONNECT.search(said):
        # A name may have several addresses; that one of them refuses tells most.
        reasons = [one["why"] for one in _CONNECT.finditer(said)]
        refused = os.strerror(errno.ECONNREFUSED)
        why = refused if refused in reasons else reasons[0]
        number = _UNREACHABLE.get(why)
        if number is not None:
            return failures.unreachable(hop, OSError(number, why))
        return failures.timed_out(hop, failures.CONNECTING)
    if " timed out" in said:
        return failures.timed_out(hop, trace.now.step)
    command = None if trace.number > 1 else hop.settings.value("proxycommand")
    words = "\n".join(line for line in trace.words().splitlines() if not _is_own_farewell(line))
    if command:
        return failures.proxy_failed(hop, hop.settings.expand(command), words)
    if found := _WRONG_CONFIG.search(said):
        return failures.cannot_follow(hop, ValueError(found[0]))
    return failures.turned_away(hop, words.encode(), other_protocol=_NOT_SSH.search(said) is not None)


def _is_own_farewell(line: str) -> bool:
    """Say whether a line is ssh's own remark on a connection that ended."""
    return line.startswith(("kex_exchange_identification:", "ssh_exchange_identification:", "Connection closed by ",
                            "Connection reset by ", "banner exchange:"))  # fmt: skip


def _key_refused(hop: Hop, known: KnownHosts, stage: Stage, said: str, *, declined: bool) -> LinkError:
    if _REVOKED.search(said):
        where = _OFFENDING.search(said)
        return failures.key_revoked(
            hop, stage.key, f"{where['file']} line {where['line']}" if where else "RevokedHostKeys"
        )
    if found := _UNREADABLE.search(said):
        return failures.cannot_follow(hop, ValueError(found[0]))
    algorithm = stage.key.partition(" ")[0]
    own = [key for key in known.keys if not key.marker and key.algorithm == algorithm]
    if "IDENTIFICATION HAS CHANGED" in said and (old := _expected(own or known.keys, said)):
        return failures.key_changed(hop, stage.key, old)
    if "certificate" in said.lower() and "cert" in algorithm:
        return failures.certificate_refused(hop, stage.said[-1])
    if hop.settings.value("stricthostkeychecking").lower() in ("yes", "true"):
        why = "StrictHostKeyChecking forbids to ask"
    elif declined:
        why = "it was not accepted"
    else:
        why = "nobody can be asked about it"
    return failures.key_unknown(hop, stage.key, why)


def _expected(keys: Sequence[KnownKey], said: str) -> KnownKey | None:
    """Return the known key that ssh names, or the first."""
    found = _OFFENDING.search(said)
    named = [key for key in keys if found and (str(key.file), str(key.line)) == (found["file"], found["line"])]
    return next(iter([*named, *keys]), None)


def _not_authenticated(hop: Hop, trace: Trace, questions: Questions, *, can_ask: bool) -> LinkError:
    stage, settings = trace.now, hop.settings
    switches = {"password": "passwordauthentication", "keyboard-interactive": "kbdinteractiveauthentication"}
    wanting = [one for one in stage.offered if one in switches and settings.flag(switches[one], default=True)]
    notes: list[str] = []
    if "Too many authentication failures" in "\n".join(stage.said):
        pass  # the server had no patience for the methods that were left
    elif not can_ask or settings.flag("batchmode", default=False):
        notes += [f"{method} needs a person, and nobody can be asked" for method in wanting]
        if stage.accepted_key:
            notes.append("a key that the server accepts was not unlocked, and nobody can be asked")
        if notes:
            questions.possible()  # which notes that somebody was needed
    elif stage.accepted_key:
        notes.append("a key that the server accepts was not unlocked")
    words = [line for line in trace.words().splitlines() if not line.startswith("Disconnected from ")]
    return failures.not_authenticated(
        hop,
        tried=[method for method in stage.tried if can_ask or method not in switches],
        keys=stage.keys,
        offered=stage.offered,
        notes=notes,
        words="\n".join(words),
        answer_needed=questions.unanswered,
    )
