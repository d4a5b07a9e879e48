"""Every command with every kind of value: whatever the arguments, no answer is an error of our own.

`KINDS` makes a key of every type in every encoding. `request` makes a command of its declared grammar
(`tests.differential.grammar`), names such a key in it, and then puts in what programs rarely send: integers at the
borders of every width, numbers that are none, zero bytes, text that is not UTF-8, too many arguments and too few.
`MODES` are the ways in which a command reaches its handler: alone, in a transaction, from a script, on a replica,
while loading.
"""

import pickle
from collections.abc import Callable
from random import Random

from engine.commands.debug import _SUBCOMMANDS as DEBUG
from engine.config import Config
from engine.effects import Effect, Exchange, Exit, Hangup, Log, Send, Stall
from engine.execution.busy import Loading
from engine.node import Node
from engine.protocol.errors import ReplyError
from engine.protocol.numbers import INT64_MAX
from engine.protocol.resp import encode_command
from engine.table.declarations import SERVER, Command
from engine.values.list import ListValue
from tests.differential.grammar import KEYS, RULES, generate
from tests.inprocess import check_space, parse_all
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
LIMIT_BYTES = 1 << 20  # of a string: what is at the borders would take half a gigabyte
CONFIGURATION = (
    *(b"list-max-listpack-size", b"4", b"set-max-intset-entries", b"4", b"set-max-listpack-entries", b"4"),
    *(b"hash-max-listpack-entries", b"4", b"zset-max-listpack-entries", b"4", b"stream-node-max-entries", b"4"),
    *(b"proto-max-bulk-len", b"1mb", b"save", b""),
)
FIVE = [b"%d" % n for n in range(5)]

KINDS: dict[bytes, list[list[bytes]]] = {
    b"missing": [],
    b"int": [[b"SET", b"?", b"1234567"]],
    b"border": [[b"SET", b"?", b"9223372036854775807"]],
    b"embstr": [[b"SET", b"?", b"foobar"]],
    b"float": [[b"SET", b"?", b"1.5e300"]],
    b"empty": [[b"SET", b"?", b""]],
    b"raw": [[b"SET", b"?", b"\xff\x00" * 50]],
    b"appended": [[b"SET", b"?", b"x" * 50], [b"APPEND", b"?", b"y"]],
    b"bits": [[b"SETBIT", b"?", b"4001", b"1"]],
    b"sparse": [[b"PFADD", b"?", b"a", b"b", b"c"]],
    b"dense": [[b"PFADD", b"?", b"a", b"b"], [b"PFDEBUG", b"TODENSE", b"?"]],
    b"hyll": [[b"SET", b"?", b"HYLL\x01" + b"\x00" * 20]],
    b"list": [[b"RPUSH", b"?", b"a", b"1", b"c"]],
    b"quicklist": [[b"RPUSH", b"?", *FIVE, *FIVE, b"z" * 70]],
    b"plain": [
        [b"DEBUG", b"QUICKLIST-PACKED-THRESHOLD", b"100b"],
        [b"RPUSH", b"?", b"a", b"p" * 200, b"b", b"q" * 200, b"q" * 200],
        [b"DEBUG", b"QUICKLIST-PACKED-THRESHOLD", b"0"],
    ],
    b"intset": [[b"SADD", b"?", b"1", b"-40000", b"3000000000"]],
    b"set": [[b"SADD", b"?", b"a", b"1", b"\xff"]],
    b"hashset": [[b"SADD", b"?", *FIVE, b"a", b"b", b""]],
    b"hash": [[b"HSET", b"?", b"f", b"1", b"g", b"1.5", b"h", b"x"]],
    b"hashtable": [[b"HSET", b"?", *FIVE, *FIVE, b"f", b"9223372036854775807", b"", b"y" * 70]],
    b"zset": [[b"ZADD", b"?", b"1", b"a", b"inf", b"b", b"-inf", b"c"]],
    b"skiplist": [[b"ZADD", b"?", *(part for n in FIVE for part in (n, b"m" + n)), b"0", b"", b"-inf", b"\xff"]],
    b"geo": [[b"GEOADD", b"?", b"13.361389", b"38.115556", b"m", b"15.087269", b"37.502669", b"n"]],
    b"stream": [[b"XADD", b"?", b"%d-1" % n, b"f", b"v%d" % n] for n in range(1, 8)],
    b"emptied": [[b"XADD", b"?", b"5-1", b"f", b"v"], [b"XDEL", b"?", b"5-1"]],
    b"groups": [
        *([b"XADD", b"?", b"%d-1" % n, b"f", b"v%d" % n] for n in range(1, 8)),
        [b"XGROUP", b"CREATE", b"?", b"g1", b"0"],
        [b"XGROUP", b"CREATE", b"?", b"g2", b"3-1"],
        [b"XGROUP", b"CREATECONSUMER", b"?", b"g1", b"idle"],
        [b"XREADGROUP", b"GROUP", b"g1", b"c1", b"COUNT", b"3", b"STREAMS", b"?", b">"],
        [b"XREADGROUP", b"GROUP", b"g1", b"c2", b"COUNT", b"2", b"STREAMS", b"?", b">"],
        [b"XDEL", b"?", b"2-1"],
        [b"XACK", b"?", b"g1", b"1-1"],
    ],
    b"expiring": [[b"SET", b"?", b"v", b"EX", b"1000"]],
    b"expired": [[b"RPUSH", b"?", b"a"], [b"PEXPIRE", b"?", b"1"]],
}

_WIDTHS = (31, 32, 53, 63, 64)
_NUMBERS = """
    1e400 -1e400 1e-400 1e308
    nan -nan inf -inf infinity +inf 0x10 0x1p3 -0 -0.0 +1 01 1.0 1_0 ١ ² 1e5 1e 0 1 -1 2 3 10
    0-0 0-1 1- -1-1 1-1-1 18446744073709551615-18446744073709551615 1-* *-1 (1 [a
"""
_WORDS = """
    %s%n { } {} ' " \\ * ? [ ( ) - + $ > < = ~ # #0 | a|b foo g1 c1 m f a default nosuch
    COUNT LIMIT GET STORE WITHSCORES NX XX BY ASYNC REPLACE HELP MAXLEN
"""
ODD = [
    *(b"%d" % (sign * (2**width + step)) for width in _WIDTHS for sign in (1, -1) for step in (-1, 0, 1)),
    *(b"9" * 400, b"-" + b"9" * 400, b"0." + b"9" * 400, b"1" + b"0" * 5000, b"k" * 70_000),
    *_NUMBERS.encode().split(),
    *_WORDS.encode().split(),
    *(b" 1", b"1 ", b"1\n", b"1\x00", b"\x001", b"\x1c1", b"\x851"),
    *(b"", b"\x00", b"\xff", b"\xff\xfe\x00", b"\xed\xa0\x80", b"\r\n"),
]
SMALL = [b"0", b"1", b"-1", b"5", b"-5", b"x", b"", b"9223372036854775807", b"-9223372036854775808", b"9" * 30]
"""For counts of which Redis too makes so many replies, or keys, as are asked for."""

COUNTED = {b"srandmember", b"hrandfield", b"zrandmember", b"debug", b"lolwut"}
LEFT_OUT = {b"shutdown", b"sync", b"psync", b"monitor", b"quit", b"failover", b"pfselftest"}
"""They end the connection or the server, or make another protocol of it; or are slow by intention."""


class FindingError(Exception):
    """Something was answered, or logged, that must never be."""


GROUPS: dict[str, list[bytes]] = {
    "string": [b"int", b"border", b"embstr", b"float", b"empty", b"raw", b"appended", b"bits", b"expiring"],
    "bitmap": [b"int", b"embstr", b"raw", b"appended", b"bits"],
    "hyperloglog": [b"sparse", b"dense", b"hyll"],
    "list": [b"list", b"quicklist", b"plain"],
    "set": [b"intset", b"set", b"hashset"],
    "hash": [b"hash", b"hashtable"],
    "sorted-set": [b"zset", b"skiplist", b"geo"],
    "geo": [b"geo", b"skiplist"],
    "stream": [b"stream", b"emptied", b"groups"],
}
"""Which kinds the commands of a group are for: those pairs are tried more often."""


def subcommands() -> list[tuple[Command, bytes]]:
    """Return every command and subcommand that is tried; DEBUG, which declares none, with each of its own."""
    found: list[tuple[Command, bytes]] = []
    for command in SERVER.values():
        if command.name == b"debug":
            found += [(command, name) for name in DEBUG]
        elif command.name not in LEFT_OUT:
            found += [(each, b"") for each in (command.subcommands or {b"": command}).values()]
    return found


def setting(chance: Random) -> list[bytes]:
    """Return a CONFIG SET of directives, with values that may be any other directive's."""
    argv = [b"CONFIG", b"SET"]
    names = list(Config.NAMES)
    config = Config()
    for _ in range(chance.choice((1, 1, 1, 2))):
        name = chance.choice(names)
        other = Config.NAMES[chance.choice((name, name, chance.choice(names)))]
        value = config.show(other) if chance.random() < 0.4 else chance.choice(ODD)
        argv += [name, value + chance.choice((b"", b"", b" ", b" 1", b"kb", b"x"))]
    return argv


def rule(chance: Random) -> bytes:
    """Return a rule of ACL SETUSER, or a selector of several."""
    dice = chance.random()
    if dice < 0.2:
        return b"(" + b" ".join(rule(chance) for _ in range(chance.randrange(4))) + chance.choice((b")", b")", b""))
    if dice < 0.3:
        return permission(chance)
    if dice < 0.55:
        return chance.choice(RULES)
    command = chance.choice(list(SERVER.values()))
    inner = b"".join(
        b"|" + part for part in chance.choices((b"get", b"set", b"", b"x", b"\xff"), k=chance.randrange(3))
    )
    name = chance.choice((command.name, b"@" + chance.choice(command.categories), b"@", b"", b"all"))
    head = chance.choice((b"+", b"-", b"~", b"%", b"%R~", b"%RW~", b"%W", b"&", b">", b"<", b"#", b"!", b"(", b""))
    return head + name + inner + chance.choice((b"", b"", b"", b"*", b"\x00", b" ", b"\xff"))


def permission(chance: Random) -> bytes:
    """Return a rule that allows keys for reading or writing, rarely as it is documented."""
    letters = bytes(chance.choices(b"RWrw~x ", k=chance.randrange(3)))
    return b"%" + letters + chance.choice((b"~", b"~", b"")) + chance.choice((b"", b"a*", b"~", b"x"))


def request(chance: Random, command: Command, known: bytes, key: bytes) -> list[bytes]:
    """Return a command that names a key, often with something in it that makes no sense."""
    name = command.name
    if name == b"config|set" and chance.random() < 0.9:
        return setting(chance)
    if name in (b"acl|setuser", b"acl|dryrun") and chance.random() < 0.9:
        user = chance.choice((b"u1", b"u2", b"", b"\xff"))
        return [b"ACL", b"SETUSER", user, *(rule(chance) for _ in range(chance.randrange(5)))]
    if name == b"debug":
        least, most, _ = DEBUG[known]
        values = SMALL if known == b"populate" else [*[key] * 200, *ODD]
        if known in (b"sleep", b"aof-flush-sleep"):
            values = [*SMALL, *_NUMBERS.encode().split()]
        count = chance.choice((least, min(most, least + 1), min(most, least + 2)))
        argv = [b"DEBUG", known, *(chance.choice(values) for _ in range(count))]
        return [b"DEBUG", b"POPULATE", b"10", *argv[3:]] if known == b"populate" and chance.random() < 0.9 else argv
    keys = [key, key, key, *chance.choices(list(KINDS), k=2)]
    special = dict.fromkeys(("key", "newkey", "source", "destination", "sourcekey", "destkey", "dst", "src"), keys)
    argv = generate(command, chance, special)
    head = len(name.split(b"|"))
    odd = SMALL if name in COUNTED else ODD
    dice = chance.random()
    for at in range(head, len(argv)):
        if chance.random() < (0.3 if dice < 0.4 else 0.0) and not (argv[at] == key and chance.random() < 0.7):
            argv[at] = chance.choice(odd)
    if dice > 0.9:
        argv = argv[: chance.randrange(1, len(argv) + 1)]
    elif dice > 0.8:
        argv += chance.choices([key, *odd], k=chance.choice((1, 1, 2, 5)))
    return argv


class _World(QuietWorld):
    """A world without other servers."""

    def run_now(self, node: Node, effect: Effect) -> object:
        if isinstance(effect, Stall):
            assert 0 < effect.duration_us <= INT64_MAX, effect
        if isinstance(effect, Exchange):
            return ConnectionRefusedError(111, "Connection refused")
        return super().run_now(node, effect)


class Bench:
    """A node with a key of every kind, which is as new whenever somebody asks."""

    def __init__(self, appendonly: bool = False) -> None:
        config = Config()
        config.enable_debug_command = "yes"
        config.appendonly = appendonly
        node = Node(config, 1, NOW)
        self.world = _World()
        node.attach(self.world)
        node.start(NOW)
        self.node = node
        self.link = 0
        self.connect()
        self.now = NOW
        self._must(b"CONFIG", b"SET", *CONFIGURATION)
        self._must(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
        self._must(b"ACL", b"SETUSER", b"u1", b"on", b">p1", b"+get", b"~a*", b"(+set ~b*)")
        self._must(b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function(k, a) return a end)")
        for key, commands in KINDS.items():
            for argv in commands:
                self._must(*(key if arg == b"?" else arg for arg in argv))
        self.now += 10_000
        self._must(b"PING")
        self._saved = pickle.dumps(node)
        self._files = dict(self.world.files)

    def _must(self, *argv: bytes) -> None:
        replies = self.run(list(argv))
        assert b"-" not in [reply[:1] for reply in replies if isinstance(reply, bytes)], (argv, replies)

    def renew(self) -> None:
        """Give back everything that the node held at first."""
        self.node = pickle.loads(self._saved)
        self.node.attach(self.world)
        self.world.files = dict(self._files)
        self.link = 0
        self.connect()
        ListValue.packed_threshold = 1 << 30

    def connect(self) -> None:
        """Go on with a new connection."""
        self.link += 1
        self.node.opened(self.link, f"127.0.0.1:{self.link}", "tcp", NOW)

    def run(self, *requests: list[bytes]) -> list[object]:
        """Give requests at once; returns the replies to this connection. Raises FindingError."""
        client = self.node.links.get(self.link)
        if client is None or client.halted:
            self.connect()
        link = self.link
        try:
            self.node.received(link, b"".join(map(encode_command, requests)), self.now)
            if self.node.deadline() <= self.now:
                self.node.wake(self.now)
            effects = self.node.end_round(self.now)
        except Exception as error:
            raise FindingError(f"{type(error).__name__}: {error}") from error
        data = b""
        ended = False
        for effect in effects:
            ended |= isinstance(effect, Exit)
            if isinstance(effect, Send) and effect.link == link:
                data += effect.data
            elif isinstance(effect, Log) and ("nternal error" in effect.text or "Traceback" in effect.text):
                raise FindingError(effect.text)
            elif isinstance(effect, (Exit, Hangup)) and getattr(effect, "link", link) == link:
                self.link += 1
                self.node.ending.exiting = False
                self.node.opened(self.link, f"127.0.0.1:{self.link}", "tcp", self.now)
        if b"internal error" in data.lower():
            raise FindingError(repr(data[:300]))
        replies, used = parse_all(data)
        if used != len(data) and not ended and b"REPLY" not in b" ".join(map(b" ".join, requests)).upper():
            raise FindingError(f"this is no reply: {data[used:][:200]!r}")
        return replies


# --- how a command comes to its handler -----------------------------------------------------------------------------


def plainly(bench: Bench, argv: list[bytes]) -> None:
    bench.run(argv)


def in_resp3(bench: Bench, argv: list[bytes]) -> None:
    bench.run([b"HELLO", b"3"], argv)


def in_transaction(bench: Bench, argv: list[bytes]) -> None:
    bench.run([b"MULTI"], argv, [b"PING"], [b"EXEC"])


def from_script(bench: Bench, argv: list[bytes]) -> None:
    bench.run([b"EVAL", b"return redis.pcall(unpack(ARGV))", b"0", *argv])
    bench.run([b"HELLO", b"3"], [b"EVAL", b"redis.setresp(3) return redis.call(unpack(ARGV))", b"0", *argv])


def on_replica(bench: Bench, argv: list[bytes]) -> None:
    bench.run([b"REPLICAOF", b"127.0.0.1", b"1"])
    bench.run(argv)


def while_loading(bench: Bench, argv: list[bytes]) -> None:
    with Loading(bench.node.suspension, 100):
        bench.run(argv)


MODES: tuple[Callable[[Bench, list[bytes]], None], ...] = (
    *(plainly, plainly, plainly, in_resp3, in_resp3, in_transaction, from_script, on_replica, while_loading),
)


def check_users(bench: Bench) -> None:
    """Check that all users can be shown, and that the rules shown make the same users."""
    acl = bench.node.acl
    bench.run([b"ACL", b"LIST"], *([b"ACL", b"GETUSER", name] for name in acl.users))
    named = [
        line for line in acl.describe_all() if not line.startswith(b"user  ")
    ]  # a file cannot hold the empty name
    for name, user in acl.parse_file(b"\n".join(named), b"users.acl").items():
        assert user.describe() == acl.users[name].describe(), name


def try_all(seed: int, share: float, appendonly: bool = False) -> tuple[int, list[str]]:
    """Try a share of all pairs of a command and a kind of value; returns how many, and what was found."""
    chance = Random(seed)
    bench = Bench(appendonly)
    tried = 0
    found: dict[str, str] = {}
    pairs = [
        (command, known, key)
        for command, known in subcommands()
        for key in KINDS
        for _ in range(4 if key in GROUPS.get(command.group, ()) else 1)
        if chance.random() < share
    ]
    chance.shuffle(pairs)
    for number, (command, known, key) in enumerate(pairs):
        if number % 10 == 0:
            bench.renew()
        mode = chance.choice(MODES)
        argv = request(chance, command, known, key)
        tried += 1
        try:
            mode(bench, argv)
            if command.name == b"acl|setuser":
                check_users(bench)
            if number % 10 == 9:
                check_space(bench.node.space)
        except (FindingError, AssertionError, ReplyError) as error:
            kind = f"{command.declared_name} {str(error)[-150:]}"
            found.setdefault(kind, f"seed {seed}, {mode.__name__}: {[arg[:60] for arg in argv]}: {error}")
            bench.renew()
        if bench.node.conditions.load is not None or bench.node.config.is_replica:
            bench.renew()
    ListValue.packed_threshold = 1 << 30
    return tried, list(found.values())


__all__ = ["KEYS", "KINDS", "MODES", "Bench", "FindingError", "request", "subcommands", "try_all"]
