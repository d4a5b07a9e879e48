"""Sequences of commands given to our node and to a real server, step by step.

A step is (client, command). After each step everything that any client was sent is compared; at the end all data is
read back, and `DEBUG DIGEST` of both compared. `groups` says what is drawn, `normal` how far replies may differ.

Nothing may depend on how much time passes on the real side (none does on ours): it removes no dead keys by itself,
and commands that would compare moments are given others. What it sends is waited for, if need be.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from engine.protocol.resp import Argv, encode_command
from tests.differential.commands import is_reference
from tests.differential.differences import alike, asked, digest_has_scores_in_full, in_transactions
from tests.differential.groups import MAKERS
from tests.differential.normal import DRAWN, NORMAL, SCANS, near, normal, told
from tests.inprocess import InProcess, parse_all
from tests.real import Program, RealServer, start_server

Step = tuple[int, Argv]
CLIENTS = (1, 2, 3)
A_DIFFERENCE_S = 30.0
"""How long the real server may take to send what ours has sent. Only a difference takes as long."""


def _tame(argv: Argv) -> Argv | None:
    """Keep away from what cannot be compared; None to drop the command."""
    name = argv[0].upper()
    if name == b"SPOP" and (len(argv) < 3 or argv[2] not in (b"0", b"-1", b"x", b"100")):
        return None
    if name in DRAWN:
        argv = [b"-3" if arg[:1] == b"-" and len(arg) > 4 else arg for arg in argv]  # that many would be sent
    if name in SCANS:
        at = SCANS[name]
        if len(argv) > at and argv[at] not in (b"x", b"18446744073709551616"):
            argv = [*argv[:at], b"0", *argv[at + 1 :]]
            argv = [*argv, b"COUNT", b"10000"]  # all in one call: cursors are a server's own
    if name == b"SORT" and b"ALPHA" in argv and b"STORE" in argv and b"BY" in argv:
        return None  # elements without a weight come in any order
    if name in (b"SETBIT", b"SETRANGE", b"GETBIT", b"BITFIELD") and any(
        len(a) > 8 and a.isdigit() for a in argv[2:3]
    ):
        return [argv[0], argv[1], b"4294967296", *argv[3:]]
    return argv


def _settle(at: int, argv: Argv) -> Argv:
    """Take out of a step what would depend on how much time passes: on our side none does."""
    name = argv[0].upper()
    if (
        name in (b"EXPIRE", b"PEXPIRE")
        and argv[2:3] in ([b"100000"], [b"50000"])
        and b"GT" in map(bytes.upper, argv[3:])
    ):
        return [*argv[:2], b"%d" % (100_000 + 5_000 * (at + 1)), *argv[3:]]  # later than any other, for certain
    if name == b"XADD" and b"*" in argv[2:]:
        place = argv.index(b"*", 2)
        return [*argv[:place], b"%d-1" % (at + 1), *argv[place + 1 :]]
    return argv


def make_steps(group: str, chance: Random, length: int) -> list[Step]:
    """Return a sequence of a group."""
    make = MAKERS[group]
    steps = []
    while len(steps) < length:
        argv = _tame(make(chance))
        if argv is not None:
            steps.append((chance.choice(CLIENTS) if make.several else 1, argv))
    return steps


class Other:
    """The real server, with a connection for each client."""

    def __init__(self, program: Program, host: str, port: int) -> None:
        self.program = program
        self.address = (host, port)
        self.control = self._connect()
        near_end, near_port = self.control.getsockname()
        self.control_name = f"{near_end}:{near_port}".encode()
        self.links: dict[int, socket.socket] = {}
        self.unread: dict[int, bytes] = {}
        self.ask(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=A_DIFFERENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, *argv: bytes) -> Any:
        """Give a command on the control connection."""
        self.control.sendall(encode_command(list(argv)))
        data = b""
        while True:
            part = self.control.recv(1 << 20)
            assert part, "the real server hung up"
            data += part
            replies, _ = parse_all(data)
            if replies:
                return replies[0]

    def start(self) -> None:
        for sock in self.links.values():
            sock.close()
        self.links = {}
        self.unread = dict.fromkeys(CLIENTS, b"")

    def run(self, link: int, data: bytes) -> None:
        if link not in self.links:
            self.links[link] = self._connect()
        with contextlib.suppress(OSError):
            self.links[link].sendall(data)

    def collect(self) -> None:
        """Read what has come. Three times round the loop a new connection has been accepted, what was sent on it has
        been read, and everything that follows from it has been written."""
        self.ask(b"PING")
        self.ask(b"PING")
        self.ask(b"PING")
        for link in list(self.links):
            self._read(link)

    def _read(self, link: int, wait_s: float = 0) -> bool:
        """Read what has come for a client; False when nothing has."""
        before = len(self.unread[link])
        while link in self.links and select.select([self.links[link]], [], [], wait_s)[0]:
            try:
                part = self.links[link].recv(1 << 20)
            except ConnectionResetError:
                part = b""
            self.unread[link] += part or b"-HUNGUP\r\n"
            if not part:
                self.links.pop(link).close()
            wait_s = 0
        return len(self.unread[link]) > before

    def take(self, link: int, expected: int = 0) -> list[Any]:
        """Return what a client was sent; waits as long as it is less than expected."""
        until = time.monotonic() + A_DIFFERENCE_S
        while True:
            parsed, used = parse_all(self.unread[link])
            replies = [reply for each in parsed if (reply := told(each, self.control_name)) is not None]
            left_s = until - time.monotonic()
            if len(replies) >= expected or left_s <= 0 or not self._read(link, left_s):
                self.unread[link] = self.unread[link][used:]
                return replies

    def stream(self, link: int, requests: list[bytes]) -> list[Any]:
        """Give many requests of which each has one reply."""
        if not requests:
            return []
        self.run(link, b"".join(requests))
        data = b""
        replies: list[Any] = []
        while len(replies) < len(requests):
            part = self.links[link].recv(1 << 20)
            assert part, "the real server hung up"
            data += part
            found, used = parse_all(data)
            replies += found
            data = data[used:]
        return replies

    def close(self) -> None:
        self.start()
        self.control.close()


class DifferenceError(AssertionError):
    """Ours and theirs are not equal."""


def _same(program: Program, argv: Argv, ours: Any, theirs: Any) -> bool:
    if ours == theirs:
        return True
    mine, other = normal(argv, ours), normal(argv, theirs)
    if mine == other or near(argv, ours, theirs):
        return True
    return alike(program, argv, mine, other) or alike(program, argv, ours, theirs)


def _check(program: Program, at: int, argv: Argv, ours: Any, theirs: Any) -> None:
    if not _same(program, argv, ours, theirs):
        raise DifferenceError(f"step {at}: {argv}\n  ours   {_short(ours)}\n  theirs {_short(theirs)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 1200 else text[:1200] + "…"


def compare(other: Other, steps: list[Step], resp: int, configuration: dict[bytes, bytes] | None = None) -> None:
    """Give both a sequence; raises DifferenceError."""
    program = other.program
    node = InProcess()
    other.start()
    _restore(other)
    hello = encode_command([b"HELLO", b"%d" % resp])
    for name, value in (configuration or {}).items():
        setting = [b"CONFIG", b"SET", name, value]
        assert node.run(99, *setting) == [other.ask(*setting)], setting
    steps = in_transactions(program, [(link, argv) for link, argv in steps if asked(program, argv)])
    steps = [(link, _settle(at, argv)) for at, (link, argv) in enumerate(steps)]
    links = sorted({link for link, _ in steps})
    for link in links:
        node.run(link, *[b"HELLO", b"%d" % resp])
        other.run(link, hello)
    other.collect()
    for link in links:
        other.take(link)
    if len(links) == 1 and all(_one_reply(argv) for _, argv in steps):
        theirs = other.stream(links[0], [encode_command(argv) for _, argv in steps])
        for at, ((link, argv), reply) in enumerate(zip(steps, theirs)):
            mine = node.run(link, *argv)
            _check(program, at, argv, mine[0] if len(mine) == 1 else mine, reply)
        node.check()
    else:
        _step_by_step(node, other, steps, links)
    _compare_data(node, other)


_MANY_REPLIES = {b"SUBSCRIBE", b"UNSUBSCRIBE", b"PSUBSCRIBE", b"PUNSUBSCRIBE", b"SSUBSCRIBE", b"SUNSUBSCRIBE"}
_WAITING = {b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP"}
_IN_STEPS = (
    _MANY_REPLIES
    | _WAITING
    | {
        *(
            b"XREAD",
            b"XREADGROUP",
            b"WAIT",
            b"WAITAOF",
            b"RESET",
            b"AUTH",
            b"QUIT",
            b"MONITOR",
            b"CLIENT",
            b"COMMAND",
        ),
    }
)


def _one_reply(argv: Argv) -> bool:
    return argv[0].upper() not in _IN_STEPS


def _names(node: InProcess, other: Other, links: list[int]) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Return what `@2` stands for here and there: client 2's id."""
    ours = dict.fromkeys((b"@%d" % link for link in CLIENTS), b"4000000")
    theirs = dict(ours)
    for link in links:
        ours[b"@%d" % link] = node.run(link, b"CLIENT", b"ID")[0][1:]
        other.run(link, encode_command([b"CLIENT", b"ID"]))
        theirs[b"@%d" % link] = other.take(link, 1)[0][1:]
    return ours, theirs


def _step_by_step(node: InProcess, other: Other, steps: list[Step], links: list[int]) -> None:
    queued: dict[int, list[Argv]] = {link: [] for link in links}
    our_names, their_names = _names(node, other, links)
    waiting: set[int] = set()
    executing: set[int] = set()  # an EXEC of theirs is held up
    for at, (link, argv) in enumerate(steps):
        if link not in other.links or (link in waiting and _is_special(argv)):
            continue  # it was hung up on; or the reply will come when nobody knows any more what to
        node.send(link, encode_command([our_names.get(arg, arg) for arg in argv]))
        other.run(link, encode_command([their_names.get(arg, arg) for arg in argv]))
        other.collect()
        waiting.add(link)
        for each in links:
            ours = [told(reply) for reply in node.take(each)]
            theirs = other.take(each, len(ours))
            if each == link and argv[0].upper() == b"EXEC":
                executing.add(each)
            if each in executing and ours and isinstance(ours[0], list):
                _check_exec(other.program, at, queued[each], ours, theirs)
            elif argv[0].upper() in _UNSUBSCRIBING and len(argv) == 1:
                _check_all_unsubscribed(at, argv, ours, theirs)
            elif len(ours) == len(theirs):
                about = argv if each == link else [b"(served)", *argv]
                alike = all(_same(other.program, about, mine, reply) for mine, reply in zip(ours, theirs))
                if not alike and (argv[0].upper() in (b"PUBLISH", b"RESET", b"EXEC") or any(map(_pushed, theirs))):
                    # Who matches by several patterns, or tracks several keys, is told in any order.
                    ours, theirs = sorted(ours, key=repr), sorted(theirs, key=repr)
                for mine, reply in zip(ours, theirs):
                    _check(other.program, at, about, mine, reply)
            else:
                raise DifferenceError(
                    f"step {at}: client {each} after {argv} of {link}\n  ours   {ours}\n  theirs {theirs}"
                )
            if ours:
                waiting.discard(each)
                executing.discard(each)
            if each == link:
                if ours == [b"+QUEUED"]:
                    queued[link].append(argv)
                elif argv[0].upper() in (b"EXEC", b"DISCARD", b"RESET") and link not in executing:
                    queued[link] = []
        node.check()


def _is_special(argv: Argv) -> bool:
    return argv[0].upper() in NORMAL or b" ".join(argv[:2]).upper() in NORMAL


def _pushed(reply: Any) -> bool:
    return isinstance(reply, list) and (reply[0] == b">" or reply[1:2] == [b"$message"])


_UNSUBSCRIBING = {b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"}


def _check_all_unsubscribed(at: int, argv: Argv, ours: list[Any], theirs: list[Any]) -> None:
    """Leaving all channels tells of them in any order, the counts beside them in falling order."""

    def bag(replies: list[Any]) -> Any:
        if not all(isinstance(reply, list) for reply in replies):
            return replies
        return sorted(reply[2] for reply in replies), [reply[3:] for reply in replies]

    if bag(ours) != bag(theirs):
        raise DifferenceError(f"step {at}: {argv}\n  ours   {ours}\n  theirs {theirs}")


def _check_exec(program: Program, at: int, queue: list[Argv], ours: list[Any], theirs: list[Any]) -> None:
    if any(argv[0].upper() in _UNSUBSCRIBING and len(argv) == 1 for argv in queue):
        return  # tells of the channels in any order
    if len(ours) != len(theirs) or not isinstance(theirs[0], list) or len(ours[0]) != len(theirs[0]):
        raise DifferenceError(f"step {at}: EXEC of {queue}\n  ours   {ours}\n  theirs {theirs}")
    for argv, mine, reply in zip(queue, ours[0][1:], theirs[0][1:]):
        _check(program, at, [*argv], mine, reply)


_READING = {
    b"+string": [b"GET"], b"+list": [b"LRANGE", b"0", b"-1"], b"+set": [b"SMEMBERS"], b"+hash": [b"HGETALL"],
    b"+zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"], b"+stream": [b"XRANGE", b"-", b"+"],
}  # fmt: skip
DATABASES = (0, 1)


def _compare_data(node: InProcess, other: Other) -> None:
    """Read everything back from both."""

    def both(*argv: bytes) -> tuple[Any, Any]:
        mine, theirs = node.run(99, *argv)[0], other.ask(*argv)
        if not _same(other.program, list(argv), mine, theirs):
            raise DifferenceError(f"at the end: {argv}\n  ours   {_short(mine)}\n  theirs {_short(theirs)}")
        return mine, theirs

    exact = is_reference(other.program)
    scored = False
    for db in DATABASES:
        both(b"SELECT", b"%d" % db)
        for marked in both(b"KEYS", b"*")[0][1:]:
            key = marked[1:]
            kind = both(b"TYPE", key)[0]
            both(b"PTTL", key)
            scored = scored or kind == b"+zset"
            reading = _READING.get(kind)
            if reading is not None:
                both(reading[0], key, *reading[1:])
            if exact:
                both(b"OBJECT", b"ENCODING", key)
    both(b"SELECT", b"0")
    if not (scored and digest_has_scores_in_full(other.program)):
        both(b"DEBUG", b"DIGEST")


def _restore(other: Other) -> None:
    """Bring the real server back to how it was."""
    other.ask(b"CLIENT", b"UNPAUSE")
    other.ask(b"SELECT", b"0")
    other.ask(b"FLUSHALL")
    other.ask(b"FUNCTION", b"FLUSH")
    other.ask(b"SCRIPT", b"FLUSH")
    for user in other.ask(b"ACL", b"USERS")[1:]:
        if user != b"$default":
            other.ask(b"ACL", b"DELUSER", user[1:])
    for name, value in (
        *((b"hash-max-listpack-entries", b"512"), (b"hash-max-listpack-value", b"64")),
        *((b"zset-max-listpack-entries", b"128"), (b"zset-max-listpack-value", b"64")),
        *((b"set-max-intset-entries", b"512"), (b"list-max-listpack-size", b"-2")),
        *((b"hll-sparse-max-bytes", b"3000"),),
    ):
        other.ask(b"CONFIG", b"SET", name, value)


CONFIGURATIONS: list[dict[bytes, bytes]] = [
    {},
    {b"hash-max-listpack-entries": b"3", b"zset-max-listpack-entries": b"3", b"set-max-intset-entries": b"3"},
    {b"hash-max-listpack-value": b"5", b"zset-max-listpack-value": b"5", b"list-max-listpack-size": b"2"},
    {b"hll-sparse-max-bytes": b"20"},
]


def shrink(other: Other, steps: list[Step], resp: int, configuration: dict[bytes, bytes]) -> list[Step]:
    """Return fewer steps that still differ."""

    def differs(tried: list[Step]) -> bool:
        try:
            compare(other, tried, resp, configuration)
        except DifferenceError:
            return True
        return False

    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            tried = steps[:at] + steps[at + size :]
            if differs(tried):
                steps = tried
            else:
                at += size
        size //= 2
    return steps


@contextlib.contextmanager
def beside(program: Program) -> Iterator[Other]:
    """Start a real server to compare with."""
    with start_server(program=program) as server:
        other = connect(server)
        yield other
        other.close()


def connect(server: RealServer) -> Other:
    """Compare with a server that runs."""
    return Other(server.program, server.host, server.port)
