"""Commands made at random from the usage lines of their declarations.

A usage line is a grammar: `LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>`. Words in upper case stand for
themselves, each other word has an alphabet, small enough that commands meet each other's keys and values, and with
the numbers at which behavior changes in it. Now and then a command is damaged: an argument too few or too many,
in another place, or of another kind.

Chance comes as a `random.Random`. Hypothesis has one that it can shrink (`st.randoms(use_true_random=False)`).
"""

import functools
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from engine.table.declarations import BLOCKING, SERVER, Command

Node = (
    Any  # ("word", text) | ("value", name) | ("one of", [Node]) | ("all", [Node]) | ("maybe", Node) | ("many", Node)
)

_TOKEN = re.compile(r"\.\.\.|[\[\]<>|]|[^\s\[\]<>|]+")

KEYS = [b"a", b"a", b"a", b"b", b"b", b"c", b"k\x00\xff", b""]
INTEGERS = [b"0", b"1", b"2", b"3", b"-1", b"-2", b"-3", b"5", b"10", b"-10", b"100"]
BORDERS = [
    *(b"%d" % n for n in (127, 128, -128, -129, 255, 256, 32767, 65536, 2**31 - 1, 2**31, -(2**31), 2**32)),
    *(b"%d" % n for n in (2**53, 2**62, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64 - 1, 10**20)),
]
JUNK = [
    b"",
    b"x",
    b" 1",
    b"1 ",
    b"+1",
    b"01",
    b"-0",
    b"1.0",
    b"1e3",
    b"nan",
    b"inf",
    b"-inf",
    b"0x10",
    b"\x00",
    b"1\x00",
]
TIMELESS_JUNK = [text for text in JUNK if text in (b"", b"x", b" 1", b"1 ", b"nan", b"\x00", b"1\x00")]
"""What no version takes for a time to wait: `+1` and `0x10` are seconds, which pass before slow machines are done."""
FLOATS = [b"0", b"1", b"-1", b"2.5", b"-2.5", b"0.1", b"3.14159", b"1e3", b"1e-7", b"1e20", b"-1e20", b"inf", b"-inf"]
MEMBERS = [
    *(b"", b"m", b"n", b"o", b"foo", b"bar", b"M", b"\xff\x00\r\n", b"z" * 63, b"z" * 64, b"z" * 65, b"01", b"1.5"),
    *(b"0", b"1", b"2", b"3", b"-7", b"200", b"-40000", b"70000", b"3000000000", b"9223372036854775807"),
]
VALUES = [*MEMBERS, b"10", b"foobar", b"\x00\x01\x02", b"y" * 44, b"y" * 45, b"3.0", b"1e5", b"9223372036854775808"]
PATTERNS = [
    b"*",
    b"?",
    b"a*",
    b"[a-c]",
    b"[^a]",
    b"*o*",
    b"\\a",
    b"[",
    b"",
    b"m?",
    b"*\xff*",
    b"f*r",
    b"[b-a]",
    b"**",
]
TIMES = [b"0", b"-1", b"100000", b"50000", b"x", b"", b"9223372036854775807", b"9223372036854775", b"1.5"]
STAMPS = [b"0", b"-1", b"1", b"1000", b"9999999999", b"9999999999999", b"9223372036854775807", b"x"]
SCORE_RANGES = [
    *(b"-inf", b"+inf", b"0", b"(0", b"1", b"(1", b"2.5", b"-1", b"(-1", b"3", b"(nan", b"x", b"("),
    *(b"-", b"+", b"[a", b"(a", b"[m", b"(m", b"[", b"a", b"[\xff", b"10"),
]
RULES = [
    *(b"on", b"off", b"allkeys", b"resetkeys", b"~a*", b"~b", b"%R~r*", b"%W~w*", b"%RW~q", b"%X~z", b"allchannels"),
    *(b"resetchannels", b"&c*", b"&d", b">p1", b">p2", b"<p1", b"<zz", b"nopass", b"resetpass", b"+@all", b"-@all"),
    *(
        b"allcommands",
        b"nocommands",
        b"+get",
        b"-get",
        b"+set",
        b"-set",
        b"+@read",
        b"-@read",
        b"+@string",
        b"-@string",
    ),
    *(
        b"+config|get",
        b"-config|set",
        b"+config",
        b"-config",
        b"+@dangerous",
        b"-@dangerous",
        b"+select|0",
        b"+nosuch",
    ),
    *(
        b"reset",
        b"sanitize-payload",
        b"skip-sanitize-payload",
        b"(+get ~s*)",
        b"(%R~t +@list)",
        b"(",
        b"clearselectors",
    ),
    *(b"+client|id", b"-client|kill", b"+@nosuch", b"#" + b"0" * 64, b"#zz", b"!" + b"0" * 64, b"", b"-acl|whoami"),
    *(b"+acl", b"-@admin", b"+@write", b"-@set", b"+@fast", b"-@slow", b"+GET", b"+@READ", b"(nosuch"),
]


def _each(names: tuple[str, ...], alphabet: list[bytes]) -> dict[str, list[bytes]]:
    return dict.fromkeys(names, alphabet)


ALPHABETS: dict[str, list[bytes]] = {
    **_each(("key", "newkey", "source", "destination", "sourcekey", "destkey", "key1", "key2", "dst", "src"), KEYS),
    **_each(("member", "field", "element", "pivot", "member1", "member2"), MEMBERS),
    **_each(("value", "message"), VALUES),
    **_each(("seconds", "milliseconds", "ttl"), TIMES),
    **_each(("unix-time-seconds", "unix-time-milliseconds"), STAMPS),
    **_each(("score", "weight"), FLOATS),
    **_each(("min", "max"), SCORE_RANGES),
    "increment": [*INTEGERS, *FLOATS, b"9223372036854775807", b"-9223372036854775808", b"17", b"1e308", b"1.7e4000"],
    "decrement": [*INTEGERS, b"9223372036854775807", b"-9223372036854775808"],
    "pattern": PATTERNS,
    "offset": [*INTEGERS, b"#1", b"#0", b"7", b"8", b"63", b"999", b"4294967296"],
    "bit": [b"0", b"1", b"0", b"1", b"2", b"x"],
    "encoding": [b"u8", b"i8", b"u1", b"i64", b"u63", b"u64", b"i1", b"i65", b"u0", b"x8", b"i16", b"u5", b"i", b""],
    "timeout": [b"0", b"1000", b"-1", b"x", b"1e3", b"inf", b"1e30"],
    "longitude": [b"13.361389", b"15.087269", b"-122.27652", b"180", b"-180", b"181", b"0", b"x"],
    "latitude": [b"38.115556", b"37.502669", b"37.805186", b"85.05", b"-85.05", b"86", b"0", b"x"],
    **_each(("radius", "width", "height"), [b"0", b"1", b"100", b"200.5", b"500000", b"20000000", b"-1", b"x"]),
    "cursor": [b"0", b"0", b"0", b"x", b"18446744073709551616"],
    "index": INTEGERS,
    "index1": [b"0", b"0", b"1", b"16", b"x"],
    "index2": [b"0", b"1", b"15", b"-1", b"x"],
    **_each(("db", "destination-db"), [b"0", b"1", b"1", b"16", b"-1", b"x"]),
    "type": [b"string", b"list", b"set", b"zset", b"hash", b"stream", b"LIST", b"nosuch"],
    **_each(("channel", "shardchannel"), [b"c1", b"c2", b"d", b"", b"\xff"]),
    "username": [b"u1", b"u2", b"nosuch"],
    "rule": RULES,
    "category": [b"string", b"LIST", b"nosuch", b"hash", b"pubsub", b"geo"],
    "parameter": [b"maxmemory", b"list-max-*", b"nosuch", b"hash-max-listpack-entries", b"*zset*", b"timeout"],
    "connection-name": [b"me", b"", b"with space", b"\xff"],
    "libname": [b"lib", b"a b", b""],
    "libver": [b"1.0", b"", b"\n"],
    **_each(("command", "command-name"), [b"get", b"SET", b"nosuch", b"config|get", b"sort", b"zunionstore"]),
    "arg": [*KEYS, *INTEGERS, b"GET", b"STORE", b"BY", b"LIMIT", b"WEIGHTS", b"STREAMS"],
    "subcommand": [b"ENCODING", b"encoding", b"DECODE", b"TODENSE", b"nosuch"],
    **{unit: [unit.encode()] for unit in ("m", "km", "ft", "mi", "lib-name", "lib-ver")},
    "password": [b"p1", b"p2", b"wrong"],
}
"""What may stand for a value; any other name gets small integers."""


def parse_usage(usage: str) -> Node:
    """Return the tree of a usage line."""
    tokens = _TOKEN.findall(usage)
    tree, at = _alternatives(tokens, 0)
    assert at == len(tokens), usage
    return tree


def _alternatives(tokens: list[str], at: int) -> tuple[Node, int]:
    choices: list[Node] = []
    row: list[Node] = []
    while at < len(tokens) and tokens[at] not in ("]", ">"):
        token = tokens[at]
        at += 1
        if token == "|":
            choices.append(("all", row))
            row = []
        elif token == "[":
            inner, at = _alternatives(tokens, at)
            row.append(inner if inner[0] == "many" else ("maybe", inner))
            at += 1
        elif token == "<":
            inner, at = _alternatives(tokens, at)
            row.append(inner)
            at += 1
        elif token == "...":
            row = [("many", ("all", row))]
        else:
            row.append(("value", token) if token != token.upper() or token == "ID" else ("word", token))
    if not choices:
        return (row[0] if len(row) == 1 else ("all", row)), at
    return ("one of", [*choices, ("all", row)]), at


_NOTHING: Mapping[str, list[bytes]] = {}


@functools.cache
def _tree(command: Command) -> Node:
    return parse_usage(command.usage)


def _produce(
    tree: Node, chance: Random, out: list[tuple[str, bytes]], special: Mapping[str, list[bytes]] = _NOTHING
) -> None:
    kind, inner = tree
    if kind == "word":
        text = inner.encode()
        out.append(("", text if chance.random() < 0.8 else text.lower()))
    elif kind == "value":
        dice = chance.random()
        alphabet = special.get(inner) or ALPHABETS.get(inner, INTEGERS)
        if dice > 0.97:
            alphabet = TIMELESS_JUNK if inner == "timeout" else JUNK
        elif dice > 0.93 and inner not in _NAMES:
            alphabet = BORDERS
        out.append((inner, chance.choice(alphabet)))
    elif kind == "one of":
        _produce(chance.choice(inner), chance, out, special)
    elif kind == "all":
        for part in inner:
            _produce(part, chance, out, special)
    elif kind == "maybe":
        if chance.random() < 0.4:
            _produce(inner, chance, out, special)
    else:
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            _produce(inner, chance, out, special)


_NAMES = {"key", "newkey", "source", "destination", "sourcekey", "destkey", "dst", "src"} | {
    *("seconds", "milliseconds", "ttl", "unix-time-seconds", "unix-time-milliseconds"),
    *(
        "min-idle-time",
        "ms",
        "timeout",
        "cursor",
        "offset",
        "username",
        "encoding",
        "db",
        "destination-db",
        "index1",
        "index2",
    ),
}
# Offsets at the borders make strings of hundreds of megabytes, and some times at the borders pass meanwhile.


def generate(command: Command, chance: Random, special: Mapping[str, list[bytes]] = _NOTHING) -> list[bytes]:
    """Return a command made at random; `special` holds the alphabets that are not the usual ones."""
    out: list[tuple[str, bytes]] = []
    _produce(_tree(command), chance, out, special)
    sound = chance.random() < 0.93
    for i, (name, _) in enumerate(out):
        if name == "numkeys" and sound:
            count = 0
            while i + 1 + count < len(out) and out[i + 1 + count][0] == "key":
                count += 1
            out[i] = (name, b"%d" % count)
            weights = [j for j, (other, _) in enumerate(out) if other == "weight"]
            if weights:
                out[weights[0] : weights[-1] + 1] = [
                    ("weight", chance.choice(ALPHABETS["weight"])) for _ in range(count)
                ]
            break
    argv = [text for _, text in out]
    if chance.random() < 0.05 and not command.flags & BLOCKING:  # what moves could become a short time to wait
        _damage(argv, chance)
    return argv


def _damage(argv: list[bytes], chance: Random) -> None:
    head = 2 if argv[0].upper() in (b"CONFIG", b"OBJECT", b"CLIENT", b"ACL", b"COMMAND", b"PUBSUB") else 1
    at = chance.randrange(head, len(argv)) if len(argv) > head else len(argv)
    way = chance.randrange(4)
    if way == 0:
        del argv[at:]
    elif way == 1:
        argv.insert(at, chance.choice([b"x", b"1", b"NX", b"COUNT", b"LIMIT", b"WITHSCORES"]))
    elif way == 2 and at < len(argv):
        argv[at] = chance.choice(JUNK)
    elif at < len(argv):
        argv.append(argv.pop(at))


def commands_of(*groups: str, without: frozenset[str] = frozenset()) -> list[Command]:
    """Return the commands and subcommands of groups, but some."""
    found: list[Command] = []
    for command in SERVER.values():
        if command.group in groups:
            found += command.subcommands.values() if command.subcommands else [command]
    return [command for command in found if command.declared_name not in without]
