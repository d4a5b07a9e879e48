"""The groups of generated sequences: which commands each draws, and with which arguments.

A group is a maker: it draws one command at a time and names all that it may draw. Every command that the server knows
is in a group, or in `NOT_GENERATED` with the reason why it is compared elsewhere or not at all.

Some arguments stand for something that each server knows by a number of its own: `@2` is the id of client 2.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from engine.commands import load_all
from engine.persistence.rdb.compression import crc64
from engine.table.declarations import SERVER, Command
from tests.differential.grammar import ALPHABETS, commands_of, generate

load_all()

Argv = list[bytes]
Make = Callable[[Random], Argv]


@dataclass(frozen=True)
class Maker:
    """Draws commands; `names` are all that it draws, as they are declared (`CONFIG GET`)."""

    names: frozenset[str]
    make: Make
    several: bool = False
    """Whether its sequences need more than one client."""

    def __call__(self, chance: Random) -> Argv:
        return self.make(chance)


EVERY = {command.declared_name: command for command in commands_of(*sorted({each.group for each in SERVER.values()}))}

NOT_GENERATED = {
    "DEBUG": "its subcommands are not declared; DIGEST, SET-ACTIVE-EXPIRE and others serve the comparison",
    "SHUTDOWN": "ends the server: tests/node, and Redis's suite",
    "SAVE": "writes files: tests/differential/test_rdb_files_cross.py",
    "BGSAVE": "as SAVE",
    "BGREWRITEAOF": "writes files: tests/differential/test_append_only_cross.py",
    "SYNC": "makes the client a replica: tests/replication",
    "PSYNC": "as SYNC",
    "REPLICAOF": "makes the server a replica: tests/replication",
    "SLAVEOF": "as REPLICAOF",
    "FAILOVER": "as REPLICAOF",
    "MIGRATE": "needs another server: Redis's suite",
    "ACL LOAD": "needs a file: tests/commands and tests/config",
    "ACL SAVE": "as ACL LOAD",
    "CONFIG REWRITE": "needs a file: tests/commands and tests/config",
    "SCRIPT DEBUG": "changes how the next script is run",
    "PFSELFTEST": "takes long and answers OK",
    "COMMAND DOCS": "tests/differential/test_commands.py compares all of it",
    "COMMAND INFO": "as COMMAND DOCS",
    "LOLWUT": "draws the picture of a version",
    "MODULE LOADEX": "modules are not there",
    "MODULE LOAD": "as MODULE LOADEX",
    "MODULE UNLOAD": "as MODULE LOADEX",
    "MEMORY DOCTOR": "gives its opinion on an allocator",
    "MEMORY MALLOC-STATS": "as MEMORY DOCTOR",
    "LATENCY DOCTOR": "gives its opinion on the machine",
    "LATENCY GRAPH": "as LATENCY DOCTOR",
    "SORT": "in its own group, with keys for BY and GET",
    "SORT_RO": "as SORT",
    "SWAPDB": "among transactions",
}
"""Why a command is left out of groups that take whole modules; all but the last three are in no group."""

_IN_OWN_GROUPS = {"RESTORE", "RESTORE-ASKING", "DUMP", "WAIT", "WAITAOF"}


def _drawing(commands: list[Command], several: bool = False) -> Maker:
    return Maker(
        frozenset(command.declared_name for command in commands),
        lambda chance: generate(chance.choice(commands), chance),
        several,
    )


def _all_of(*groups: str) -> Maker:
    left_out = NOT_GENERATED.keys() | _IN_OWN_GROUPS
    return _drawing([command for command in commands_of(*groups) if command.declared_name not in left_out])


def _some(*names: str) -> Maker:
    return _drawing([EVERY[name] for name in names])


def _mix(*makers: tuple[float, Maker], several: bool = False) -> Maker:
    weights = [weight for weight, _ in makers]
    chosen = [maker for _, maker in makers]
    names = frozenset().union(*(maker.names for maker in chosen))
    return Maker(names, lambda chance: chance.choices(chosen, weights)[0](chance), several)


def _made(*names: str) -> Callable[[Make], Maker]:
    """Make a maker of a function that draws these commands by itself."""
    return lambda make: Maker(frozenset(names), make)


def _lines(text: str) -> Maker:
    """Return a maker of commands written out, one a line: words apart by spaces, `a/b/c` for one of some."""
    lines = [[word.split("/") for word in line.split()] for line in text.strip().splitlines()]
    names = set()
    for line in lines:
        head = line[0][0]
        names |= {head} if head in EVERY else {f"{head} {word}" for word in line[1]}
    assert names <= EVERY.keys(), names - EVERY.keys()
    return Maker(frozenset(names), lambda chance: [chance.choice(word).encode() for word in chance.choice(lines)])


@_made("SORT", "SORT_RO", "MSET", "HSET", "RPUSH", "SADD", "ZADD", "DEL")
def _sort(chance: Random) -> Argv:
    dice = chance.random()
    if dice < 0.15:
        weights = [(b"w_" + n, chance.choice([b"3", b"1", b"x"])) for n in (b"1", b"2", b"3", b"m")]
        return [b"MSET", *(arg for pair in weights for arg in pair)]
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


@_made("COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS")
def _getkeys(chance: Random) -> Argv:
    inner = generate(chance.choice(list(EVERY.values())), chance)
    return [b"COMMAND", chance.choice([b"GETKEYS", b"GETKEYSANDFLAGS"]), *inner]


SCRIPTS = [
    b"return 1",
    b"return {KEYS[1], ARGV[1], 3.7, true, false, {ok='fine'}, 'x'}",
    b"return redis.call('SET', KEYS[1], ARGV[1])",
    b"return redis.call('GET', KEYS[1])",
    b"return redis.pcall('INCR', KEYS[1])",
    b"return redis.call('LPUSH', KEYS[1], ARGV[1], ARGV[1])",
    b"return redis.call('LRANGE', KEYS[1], 0, -1)",
    b"return redis.pcall('HSET', KEYS[1], 'f', ARGV[1])",
    b"redis.call('DEL', unpack(KEYS)) return #KEYS",
    b"return redis.error_reply('MINE an error')",
    b"return {err='ERR made here'}",
    b"return redis.status_reply(ARGV[1] or 'none')",
    b"error('thrown')",
    b"error({err='ERR thrown table'})",
    b"return redis.call('NOSUCH')",
    b"return redis.call('GET')",
    b"return redis.pcall('BLPOP', KEYS[1] or 'a', 0)",
    b"return redis.call('SUBSCRIBE', 'c1')",
    b"redis.setresp(3) return redis.call('HGETALL', KEYS[1])",
    b"redis.setresp(3) return {map={a=1}, 1}",
    b"return cjson.encode({1, 2, {a='b'}, false})",
    b"return tostring(cjson.decode(ARGV[1] or '[1, 2]')[1])",
    b"return cmsgpack.pack({1, 2, 'x', -70000})",
    b"return bit.band(tonumber(ARGV[1]) or 7, 12)",
    b"return redis.sha1hex(ARGV[1] or '')",
    b"x = 1",
    b"return nosuch",
    b"return (",
    b"#!lua\nreturn redis.call('SET', KEYS[1] or 'undeclared', 1)",
    b"#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)",
    b"#!lua flags=allow-oom,no-cluster\nreturn 2",
    b"#!lua flags=nosuch\nreturn 2",
    b"#!nosuch\nreturn 2",
    b"",
]
LIBRARIES = [
    b"#!lua name=one\nredis.register_function('first', function(keys, args) return {keys[1], args[1]} end)",
    b"#!lua name=one\nredis.register_function('first', function() return 'newer' end)",
    b"#!lua name=two\nredis.register_function{function_name='second', callback=function(keys) return"
    b" redis.call('GET', keys[1]) end, flags={'no-writes'}, description='reads'}",
    b"#!lua name=two\nlocal n = 0\nredis.register_function('counts', function() n = n + 1 return n end)",
    b"#!lua name=writer\nredis.register_function('writes', function(keys, args) return redis.call('SET', keys[1],"
    b" args[1]) end)",
    b"#!lua name=three\nredis.register_function('first', function() return 3 end)",
    b"#!lua name=four\nreturn redis.call('GET', 'a')",
    b"#!lua name=five\n",
    b"#!lua name=bad name\nreturn 1",
    b"#!lua\nreturn 1",
    b"#!nosuch name=six\nreturn 1",
    b"no head",
    b"#!lua name=seven\nredis.register_function('bad-name', function() end)",
    b"#!lua name=eight\nerror('while loading')",
]
ALPHABETS |= {
    "script": SCRIPTS,
    "sha1": [*(hashlib.sha1(script).hexdigest().encode() for script in SCRIPTS[:20]), b"0" * 40, b"x"],
    "function": [b"first", b"FIRST", b"second", b"counts", b"writes", b"nosuch"],
    "function-code": LIBRARIES,
    "library-name": [b"one", b"two", b"writer", b"nosuch"],
    "library-name-pattern": [b"*", b"o*", b"t?o", b"nosuch"],
    "client-id": [b"@1", b"@2", b"@3", b"0", b"4294967295", b"x"],
    "prefix": [b"", b"a", b"b", b"k", b"ab"],
}


def _payload(body: bytes, version: int = 9, damage: int = 0) -> bytes:
    """Return what DUMP of an old server made of a value: every later version takes it."""
    text = body + version.to_bytes(2, "little")
    return text + (crc64(text) ^ damage).to_bytes(8, "little")


PAYLOADS = [
    _payload(b"\0\3foo"),
    _payload(b"\0\xc0\x0c"),
    _payload(b"\1\2\1a\1b"),
    _payload(b"\2\2\1a\1b"),
    _payload(b"\4\1\1f\1v"),
    _payload(b"\5\1\1m\0\0\0\0\0\0\xf8\x3f"),
    _payload(b"\0\3foo", damage=1),
    _payload(b"\0\3foo", version=200),
    _payload(b"\0\3fo"),
    _payload(b"\x63\3foo"),
    b"",
    b"short",
]


@_made("RESTORE", "RESTORE-ASKING", "DUMP")
def _restore(chance: Random) -> Argv:
    key = chance.choice(ALPHABETS["key"])
    if chance.random() < 0.2:
        return [b"DUMP", key]
    argv = [chance.choice([b"RESTORE", b"RESTORE", b"RESTORE-ASKING"]), key]
    argv += [chance.choice([b"0", b"0", b"100000", b"-1", b"x"]), chance.choice(PAYLOADS)]
    options = [[b"REPLACE"], [b"REPLACE"], [b"ABSTTL"], [b"IDLETIME", b"5"], [b"IDLETIME", b"-1"], [b"FREQ", b"7"]]
    options += [[b"FREQ", b"256"], [b"FREQ"], [b"NOSUCH"]]
    for option in chance.choices(options, k=chance.choice((0, 1, 1, 2))):
        argv += option
    return argv


_IDS = [*(b"%d-%d" % (ms, n) for ms in (1, 2, 3) for n in (0, 1, 2)), b"2", b"5-*", b"0", b"x", b"3-x", b"-", b"+"]
_BOUNDS = [*_IDS, b"(1-1", b"(2"]
_STREAM = {
    "key": [b"a", b"a", b"b", b"c"],
    "id": [*_IDS, b"$", b">"],
    "ID": [*_IDS, b"$", b">"],
    "last-id": _IDS,
    "lastid": _IDS,
    "max-deleted-id": _IDS,
    "start": _BOUNDS,
    "end": _BOUNDS,
    "threshold": [b"0", b"1", b"2", b"2-0", b"2-1", b"x"],
    "group": [b"g", b"g", b"h"],
    "consumer": [b"one", b"two"],
    "min-idle-time": [b"0", b"0", b"1000000", b"x"],
    "ms": [b"0", b"1000000", b"x"],
    "entries-added": [b"0", b"7", b"-1"],
    "entries-read": [b"0", b"2", b"-1", b"x"],
    "milliseconds": [b"0", b"100000", b"-1", b"x"],
}


def _stream_maker(*names: str) -> Maker:
    commands = [EVERY[name] for name in names]
    return Maker(frozenset(names), lambda chance: generate(chance.choice(commands), chance, _STREAM), several=True)


DATA = ("string", "hash", "list", "set", "sorted_set")
_DATA = _all_of(*DATA)
_FILL = _some("SET", "LPUSH", "ZADD", "APPEND", "DEL")
_READ = _all_of("generic", *DATA, "bitmap", "hyperloglog")
_TRANSACTION = _some("MULTI", "EXEC", "EXEC", "DISCARD")
_STREAMS = [name for name, command in EVERY.items() if command.group == "stream" and name not in ("XADD", "XREAD")]
_CHANGES = _some("SET", "DEL", "INCR", "LPUSH", "LPOP", "MSET", "HSET", "EXPIRE", "RENAME", "FLUSHALL", "GETDEL")

_INTROSPECTION = _some(
    *("CLIENT SETNAME", "CLIENT GETNAME", "CLIENT NO-TOUCH", "CLIENT NO-EVICT", "CLIENT SETINFO", "ECHO", "PING"),
    *("SELECT", "RESET", "CONFIG GET", "DBSIZE", "AUTH", "OBJECT HELP", "CONFIG HELP", "CLIENT HELP", "COMMAND HELP"),
    *("PUBSUB HELP", "SLOWLOG HELP", "LATENCY HELP", "MEMORY HELP", "ACL HELP", "COMMAND COUNT", "COMMAND LIST"),
    *("MODULE HELP", "MODULE LIST"),
)
_BLOCKING = _some("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP")
_SERVING = _some(
    *("LPUSH", "LPUSH", "RPUSH", "ZADD", "ZADD", "DEL", "RENAME", "SET", "MULTI", "EXEC", "EXEC", "LMOVE", "COPY"),
    *("ZUNIONSTORE", "SWAPDB", "FLUSHALL"),
)
_CLIENTS = _lines("""
    CLIENT ID
    CLIENT INFO
    CLIENT LIST ID @1 @2/@3/0
    CLIENT LIST ID x/-1
    CLIENT LIST TYPE nosuch
    CLIENT REPLY ON/OFF/SKIP/nosuch
    CLIENT KILL ID @1/@2/@3/0/x SKIPME yes/no/nosuch
    CLIENT KILL ID @1/@2/@3 TYPE normal/pubsub/nosuch
    CLIENT KILL 1.2.3.4:5
    CLIENT KILL USER nosuch
    CLIENT UNBLOCK @1/@2/@3/0/x
    CLIENT UNBLOCK @1/@2/@3 TIMEOUT/ERROR/nosuch
    CLIENT GETREDIR
    CLIENT SETNAME me/you
    HELLO 2/3/4/x
    HELLO 2/3 SETNAME me/you
    HELLO 3 AUTH u1/default p1/x
    HELLO 3 NOSUCH
    SELECT 0/1
    SUBSCRIBE c1
    BLPOP a/b 0
    MULTI
    EXEC
    SET a/b 1
    RPUSH a/b 1
    GET a/b
    PUBLISH c1 hello
    WATCH a
    QUIT
    RESET
""")
# Apart from CLIENT UNBLOCK, which ends a real server when the client is one that is held up.
_PAUSES = _mix(
    (2, _lines("CLIENT PAUSE 100000/-1/x WRITE/nosuch\nCLIENT UNPAUSE\nCLIENT UNPAUSE\nCLIENT UNPAUSE")),
    (4, _some("SET", "GET", "LPUSH", "BLPOP", "PUBLISH", "PFCOUNT", "EVAL", "EVAL_RO", "FLUSHALL", "PING", "EXPIRE")),
    (2, _TRANSACTION),
)
_TRACKING = _mix(
    (4, _some("CLIENT TRACKING", "CLIENT TRACKING", "CLIENT CACHING", "CLIENT GETREDIR", "CLIENT TRACKINGINFO")),
    (3, _lines("CLIENT TRACKING ON\nCLIENT TRACKING ON BCAST\nCLIENT TRACKING ON OPTIN\nHELLO 3\nHELLO 2")),
    (4, _some("GET", "MGET", "LRANGE", "EXISTS", "STRLEN", "HGETALL", "TTL")),
    (5, _CHANGES),
    (2, _mix((3, _TRANSACTION), (1, _lines("SUBSCRIBE __redis__:invalidate\nUNSUBSCRIBE\nSWAPDB 0 1\nRESET")))),
)
_SERVER = _lines("""
    CONFIG SET hash-max-listpack-entries 1/512/x/-1 zset-max-listpack-value 5/64
    CONFIG SET list-max-listpack-size -2/2/-9/x
    CONFIG SET nosuch 1
    CONFIG SET set-max-intset-entries 3 set-max-intset-entries 4
    CONFIG SET set-max-intset-entries
    CONFIG RESETSTAT
    FLUSHDB
    FLUSHDB ASYNC/SYNC/nosuch
    FLUSHALL ASYNC/SYNC/nosuch
    DBSIZE
    TIME
    ROLE
    LASTSAVE
    INFO clients/nosuch
    INFO replication
    SLOWLOG GET -2/x
    SLOWLOG GET 1/-1
    SLOWLOG LEN
    SLOWLOG RESET
    LATENCY LATEST
    LATENCY HISTORY nosuch/command
    LATENCY RESET
    LATENCY RESET nosuch
    LATENCY HISTOGRAM nosuch
    MEMORY USAGE a/b
    MEMORY USAGE a SAMPLES 0/5/-1/x
    MEMORY USAGE a NOSUCH 1
    MEMORY STATS
    MEMORY PURGE
    REPLCONF listening-port 1/x
    REPLCONF capa eof/psync2/nosuch
    REPLCONF nosuch 1
    REPLCONF listening-port
    WAIT 0 0/100000
    WAIT 0/x/-1 -1/x
    WAITAOF 0/1/2/x 0 0/-1/x
    RANDOMKEY
    OBJECT REFCOUNT a/none
    OBJECT IDLETIME a/none
    OBJECT FREQ a/none
    SWAPDB 0/1/x 0/1/16/-1
    SET a/b 1
    LPUSH a/b 1 2 3
    SELECT 0/1
    ACL GENPASS
    ACL GENPASS 8/0/-1/4096/4097/x
    ACL LOG RESET
    ACL LOG -1/0/x
    MODULE LIST
""")

MAKERS: dict[str, Maker] = {
    "string": _mix((9, _all_of("string")), (1, _FILL), (1, _some("TTL", "EXPIRETIME", "PERSIST"))),
    "generic": _mix((5, _all_of("generic")), (4, _DATA)),
    "hash": _mix((9, _all_of("hash")), (1, _FILL)),
    "list": _mix((9, _all_of("list")), (1, _FILL)),
    "set": _mix((9, _all_of("set")), (1, _FILL)),
    "sorted_set": _mix((9, _all_of("sorted_set")), (1, _FILL), (1, _all_of("set"))),
    "hyperloglog": _mix((9, _all_of("hyperloglog")), (2, _some("SET", "LPUSH", "ZADD", "DEL"))),
    "bitmap": _mix((9, _all_of("bitmap")), (1, _FILL)),
    "geo": _mix((9, _all_of("geo")), (1, _FILL)),
    "stream": _mix(
        (5, _stream_maker("XADD")), (3, _stream_maker("XREAD")), (9, _stream_maker(*_STREAMS)), (1, _FILL),
        (2, _lines("XGROUP CREATE a/b g/h 0/$/1-1 MKSTREAM\nXADD a/b * f v\nMULTI\nEXEC\nXTRIM a MAXLEN 1/2")),
        (2, _lines("XREADGROUP GROUP g/h one/two BLOCK 0/100000 STREAMS a/b >")), several=True,
    ),
    "sort": _sort,
    "scripting": _mix((6, _all_of("scripting")), (2, _some("EVAL", "EVAL", "SCRIPT LOAD", "FUNCTION LOAD")),
                      (2, _FILL)),
    "acl": _some("ACL SETUSER", "ACL SETUSER", "ACL SETUSER", "ACL DELUSER", "ACL GETUSER", "ACL LIST", "ACL USERS",
                 "ACL WHOAMI", "ACL CAT", "ACL DRYRUN", "ACL HELP"),
    "introspection": _mix((3, _getkeys), (1, _INTROSPECTION)),
    "mixed": _READ,
    "dump": _mix((6, _restore), (2, _all_of("generic")), (2, _FILL)),
    "transactions": _mix((4, _READ), (1, _mix((3, _TRANSACTION), (2, _some("WATCH", "WATCH", "UNWATCH")))),
                         (0.3, _some("FLUSHALL", "SWAPDB", "SELECT")), several=True),
    "blocking": _mix((4, _BLOCKING), (6, _SERVING), several=True),
    "pubsub": _mix((6, _all_of("pubsub")), (1, _some("PING", "RESET", "MULTI", "EXEC", "SELECT", "ECHO", "DISCARD")),
                   (1, _some("SET", "GET", "LPUSH")), several=True),
    "clients": _mix((1, _CLIENTS), several=True),
    "monitor": _mix((1, _lines("MONITOR\nRESET")), (3, _DATA), (1, _some("EVAL", "MULTI", "EXEC", "AUTH")),
                    several=True),
    "pauses": _mix((1, _PAUSES), several=True),
    "tracking": _mix((1, _TRACKING), several=True),
    "server": _SERVER,
    "cluster": _all_of("cluster"),
}  # fmt: skip
