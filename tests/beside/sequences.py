"""Sequences of commands given to our node and to a real server: what is made, and what must be equal.

A step is (client, command). After each step everything that any client was sent is compared; at the end all data is
read back, and `DEBUG DIGEST` of both compared. Where Redis promises no order, replies are compared as bags; where it
draws lots, only their shape is; times to live may differ by the time that the comparison takes.
"""

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from engine.resp import encode_command
from tests.beside.differences import alike, asked, digest_has_scores_in_full
from tests.beside.grammar import commands_of, generate
from tests.inprocess import InProcess, parse_all
from tests.real import Program, RealServer, start_server

Argv = list[bytes]
Step = tuple[int, Argv]
CLIENTS = (1, 2, 3)

UNORDERED = {
    *(b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HKEYS", b"HVALS", b"HGETALL", b"KEYS", b"SPOP", b"PUBSUB"),
    *(b"SCAN", b"SSCAN", b"HSCAN", b"ZSCAN"),
}
DRAWN = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY"}
SCANS = {b"SCAN": 1, b"SSCAN": 2, b"HSCAN": 2, b"ZSCAN": 2}
TIMED = {b"TTL": 2, b"PTTL": 60_000, b"EXPIRETIME": 60, b"PEXPIRETIME": 60_000}

_NEVER = frozenset(
    ("RESTORE", "RESTORE-ASKING", "DUMP", "SORT", "SORT_RO", "OBJECT IDLETIME", "OBJECT FREQ", "WAIT", "WAITAOF")
)
_NEVER |= frozenset(("SWAPDB", "OBJECT HELP", "PFSELFTEST", "MIGRATE", "RANDOMKEY", "OBJECT REFCOUNT"))
# Encodings are compared at the end; SORT has its own group, with keys for BY and GET.


def _plain(*groups: str) -> Callable[[Random], Argv]:
    commands = commands_of(*groups, without=_NEVER)

    def make(chance: Random) -> Argv:
        return generate(chance.choice(commands), chance)

    return make


def _some(*names: str) -> Callable[[Random], Argv]:
    wanted = {name.upper() for name in names}
    every = commands_of("server", "connection", "generic", "pubsub", "transactions", "list", "sorted_set", "string")
    commands = [command for command in every if command.declared_name in wanted]

    def make(chance: Random) -> Argv:
        return generate(chance.choice(commands), chance)

    return make


def _mix(*makers: tuple[float, Callable[[Random], Argv]]) -> Callable[[Random], Argv]:
    def make(chance: Random) -> Argv:
        dice = chance.random() * sum(weight for weight, _ in makers)
        for weight, maker in makers:
            dice -= weight
            if dice < 0:
                return maker(chance)
        return makers[-1][1](chance)

    return make


def _sort(chance: Random) -> Argv:
    dice = chance.random()
    if dice < 0.15:
        return [
            b"MSET",
            *(arg for n in (b"1", b"2", b"3", b"m") for arg in (b"w_" + n, chance.choice([b"3", b"1", b"x"]))),
        ]
    if dice < 0.25:
        return [b"HSET", b"h_%d" % chance.randrange(4), b"f", chance.choice([b"5", b"4", b"y"])]
    if dice < 0.45:
        kind = chance.choice([b"RPUSH", b"SADD"])
        return [
            kind,
            chance.choice([b"a", b"b"]),
            *chance.choices([b"1", b"2", b"3", b"10", b"m", b"-1", b"1.5"], k=4),
        ]
    if dice < 0.5:
        return [b"ZADD", b"c", b"1", b"2", b"3", b"1", b"2", b"m"]
    if dice < 0.55:
        return [b"DEL", chance.choice([b"a", b"b", b"c", b"w_1"])]
    argv = [chance.choice([b"SORT", b"SORT", b"SORT_RO"]), chance.choice([b"a", b"b", b"c", b"none"])]
    patterns = [b"w_*", b"h_*->f", b"#", b"nosort", b"*", b"w_*->f", b"h_*->", b"none_*"]
    if chance.random() < 0.4:
        argv += [b"BY", chance.choice(patterns)]
    if chance.random() < 0.3:
        argv += [b"LIMIT", chance.choice([b"0", b"1", b"-1", b"x"]), chance.choice([b"2", b"-1", b"0", b"10"])]
    for _ in range(chance.choice((0, 0, 1, 2))):
        argv += [b"GET", chance.choice(patterns)]
    argv += chance.choices([b"ASC", b"DESC", b"ALPHA", b"junk"], [5, 5, 8, 1], k=chance.choice((0, 1, 2)))
    if chance.random() < 0.3:
        argv += [b"STORE", chance.choice([b"a", b"d"])]
    return argv


def _getkeys(chance: Random) -> Argv:
    commands = commands_of(
        "string", "generic", "hash", "list", "set", "sorted_set", "geo", "bitmap", "hyperloglog", "stream"
    )
    return [b"COMMAND", chance.choice([b"GETKEYS", b"GETKEYSANDFLAGS"]), *generate(chance.choice(commands), chance)]


DATA = ("string", "hash", "list", "set", "sorted_set")
_DATA = _plain(*DATA)
_FILL = _some("SET", "LPUSH", "ZADD", "APPEND", "DEL")
_READ = _plain("generic", *DATA, "bitmap", "hyperloglog")

_INTROSPECTION = ("COMMAND GETKEYS", "CLIENT SETNAME", "CLIENT GETNAME", "CLIENT NO-TOUCH",
                  "CLIENT NO-EVICT", "CLIENT SETINFO", "ECHO", "PING", "SELECT", "RESET", "CONFIG GET", "DBSIZE",
                  "AUTH",
                  "OBJECT HELP", "CONFIG HELP", "CLIENT HELP", "COMMAND HELP", "PUBSUB HELP", "SLOWLOG HELP",
                  "LATENCY HELP", "MEMORY HELP", "ACL HELP")  # fmt: skip

_BLOCKING = ("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP")
_SERVING = ("LPUSH", "LPUSH", "RPUSH", "ZADD", "ZADD", "DEL", "RENAME", "SET", "MULTI", "EXEC", "EXEC", "LMOVE",
            "COPY",            "ZUNIONSTORE", "SWAPDB", "FLUSHALL")  # fmt: skip

MAKERS: dict[str, Callable[[Random], Argv]] = {
    "string": _mix((9, _plain("string")), (1, _FILL), (1, _some("TTL", "EXPIRETIME", "PERSIST"))),
    "generic": _mix((5, _plain("generic")), (4, _DATA)),
    "hash": _mix((9, _plain("hash")), (1, _FILL)),
    "list": _mix((9, _plain("list")), (1, _FILL)),
    "set": _mix((9, _plain("set")), (1, _FILL)),
    "sorted_set": _mix((9, _plain("sorted_set")), (1, _FILL), (1, _plain("set"))),
    "hyperloglog": _mix((9, _plain("hyperloglog")), (2, _FILL)),
    "bitmap": _mix((9, _plain("bitmap")), (1, _FILL)),
    "geo": _mix((9, _plain("geo")), (1, _FILL)),
    "sort": _sort,
    "acl": _some("ACL SETUSER", "ACL SETUSER", "ACL SETUSER", "ACL DELUSER", "ACL GETUSER", "ACL LIST", "ACL USERS",
                 "ACL WHOAMI", "ACL CAT", "ACL DRYRUN", "ACL HELP"),
    "introspection": _mix((3, _getkeys), (1, _some(*_INTROSPECTION))),
    "mixed": _READ,
    "transactions": _mix((4, _READ), (1, _some("MULTI", "EXEC", "EXEC", "DISCARD", "WATCH", "WATCH", "UNWATCH")),
                         (0.3, _some("FLUSHALL", "SWAPDB", "SELECT"))),
    "blocking": _mix((4, _some(*_BLOCKING)), (6, _some(*_SERVING))),
    "pubsub": _mix((6, _plain("pubsub")), (1, _some("PING", "RESET", "MULTI", "EXEC", "SELECT", "ECHO", "DISCARD")),
                   (1, _some("SET", "GET", "LPUSH"))),
}  # fmt: skip
SEVERAL_CLIENTS = {"transactions", "blocking", "pubsub"}


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
    if name == b"QUIT" or (name == b"CLIENT" and argv[1:2] == [b"REPLY"]):
        return None
    if name in (b"SETBIT", b"SETRANGE", b"GETBIT", b"BITFIELD") and any(
        len(a) > 8 and a.isdigit() for a in argv[2:3]
    ):
        return [argv[0], argv[1], b"4294967296", *argv[3:]]
    return argv


def make_steps(group: str, chance: Random, length: int) -> list[Step]:
    """Return a sequence of a group."""
    make = MAKERS[group]
    steps = []
    several = group in SEVERAL_CLIENTS
    while len(steps) < length:
        argv = _tame(make(chance))
        if argv is not None:
            steps.append((chance.choice(CLIENTS) if several else 1, argv))
    return steps


class Other:
    """The real server, with a connection for each client."""

    def __init__(self, program: Program, host: str, port: int) -> None:
        self.program = program
        self.address = (host, port)
        self.control = self._connect()
        self.links: dict[int, socket.socket] = {}
        self.unread: dict[int, bytes] = {}

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=20)
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
        for link, sock in self.links.items():
            while select.select([sock], [], [], 0)[0]:
                part = sock.recv(1 << 20)
                if not part:
                    break
                self.unread[link] += part

    def take(self, link: int) -> list[Any]:
        replies, used = parse_all(self.unread[link])
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


def _bag(reply: Any, pairs: bool) -> Any:
    if not isinstance(reply, list):
        return reply
    items = reply[1:]
    if pairs:
        items = [list(pair) for pair in zip(items[::2], items[1::2])]
    return [reply[0], *sorted(map(repr, items))]


def _shape(reply: Any) -> Any:
    return [reply[0], len(reply)] if isinstance(reply, list) else reply[:1]


def normal(argv: Argv, reply: Any) -> Any:
    """Return a reply without the order that nobody promised, and without what was drawn by lot."""
    name = argv[0].upper()
    if isinstance(reply, bytes) and reply[:1] == b"-":
        for arg in argv:
            if b"\0" in arg:  # Redis puts arguments into its error texts as C strings, up to a NUL
                reply = reply.replace(arg, arg.partition(b"\0")[0])
        return reply
    if name in UNORDERED and isinstance(reply, list):
        if name in SCANS:
            pairs = name in (b"HSCAN", b"ZSCAN") or None
            return [reply[1], _bag(reply[2], bool(pairs))] if len(reply) == 3 else reply
        return _bag(reply, name == b"HGETALL" or argv[1:2] == [b"NUMSUB"])
    if name in DRAWN:
        return _shape(reply)
    if name in TIMED and isinstance(reply, bytes) and reply[:1] == b":" and int(reply[1:]) > 1000:
        return b":times"
    if name in (b"SORT", b"SORT_RO"):
        by = _after(argv, b"BY")
        if b"ALPHA" in argv and by:
            return _shape(reply)  # elements without a weight are not told apart, and LIMIT takes any of them
        unsorted = any(arg.lower() == b"nosort" or b"*" not in arg for arg in by)
        return _bag(reply, False) if unsorted else reply
    if (
        name in (b"COMMAND", b"ACL", b"CONFIG")
        and isinstance(reply, list)
        and argv[1:2]
        and argv[1].upper() in (b"LIST", b"CAT", b"GET")
    ):
        return _bag(reply, name == b"CONFIG")
    return reply


def _after(argv: Argv, word: bytes) -> list[bytes]:
    return [argv[i + 1] for i, arg in enumerate(argv[:-1]) if arg.upper() == word]


def _same(program: Program, argv: Argv, ours: Any, theirs: Any) -> bool:
    if ours == theirs:
        return True
    mine, other = normal(argv, ours), normal(argv, theirs)
    return mine == other or alike(program, argv, mine, other)


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
    steps = [step for step in steps if asked(program, step[1])]
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


def _one_reply(argv: Argv) -> bool:
    return argv[0].upper() not in _MANY_REPLIES | _WAITING | {b"WAIT", b"WAITAOF", b"RESET", b"AUTH", b"COMMAND"}


def _step_by_step(node: InProcess, other: Other, steps: list[Step], links: list[int]) -> None:
    queued: dict[int, list[Argv]] = {link: [] for link in links}
    for at, (link, argv) in enumerate(steps):
        data = encode_command(argv)
        node.send(link, data)
        other.run(link, data)
        other.collect()
        for each in links:
            ours, theirs = node.take(each), other.take(each)
            if each == link and argv[0].upper() == b"EXEC" and ours and isinstance(ours[0], list):
                _check_exec(other.program, at, queued[link], ours, theirs)
            elif argv[0].upper() in _UNSUBSCRIBING and len(argv) == 1:
                _check_all_unsubscribed(at, argv, ours, theirs)
            elif len(ours) == len(theirs):
                if argv[0].upper() in (b"PUBLISH", b"RESET", b"EXEC") and ours != theirs:
                    # Who matches by several patterns is told in any order.
                    ours, theirs = sorted(ours, key=repr), sorted(theirs, key=repr)
                for mine, reply in zip(ours, theirs):
                    _check(other.program, at, argv if each == link else [b"(served)", *argv], mine, reply)
            else:
                raise DifferenceError(
                    f"step {at}: client {each} after {argv} of {link}\n  ours   {ours}\n  theirs {theirs}"
                )
            if each == link:
                if ours == [b"+QUEUED"]:
                    queued[link].append(argv)
                elif argv[0].upper() in (b"EXEC", b"MULTI", b"DISCARD", b"RESET"):
                    queued[link] = []
        node.check()


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
    b"+zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
}  # fmt: skip
DATABASES = (0, 1)


def _compare_data(node: InProcess, other: Other) -> None:
    """Read everything back from both."""

    def both(*argv: bytes) -> tuple[Any, Any]:
        mine, theirs = node.run(99, *argv)[0], other.ask(*argv)
        if not _same(other.program, list(argv), mine, theirs):
            raise DifferenceError(f"at the end: {argv}\n  ours   {_short(mine)}\n  theirs {_short(theirs)}")
        return mine, theirs

    exact = other.program.kind == "redis" and other.program.version[:2] == (7, 2)
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
    other.ask(b"SELECT", b"0")
    other.ask(b"FLUSHALL")
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
