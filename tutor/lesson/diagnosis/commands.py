"""Names of commands: which one was meant, and which relative of a command takes exactly these words.

Suggestions for an unknown name are ranked: by meaning (`DELETE` → `DEL`), as a beginning or end (`CONFIGGET`,
`PUSH`), by letters (`STE` → `SET`). Among equals, the commands that the lesson is about come first.
"""

import functools
from collections.abc import Collection, Iterable, Sequence

from engine.table.declarations import WRITE
from tutor.lesson import typed
from tutor.lesson.diagnosis.model import Diagnosis, code, either, word_set
from tutor.prompt import CommandDocs
from tutor.prompt.words import WORD, distance

# What other languages and programs call it. Several commands are offered in the order of this table.
MEANINGS = {
    "DELETE": "DEL", "REMOVE": "DEL", "RM": "DEL", "ERASE": "DEL", "DESTROY": "DEL", "DROP": "DEL",
    "STORE": "SET", "PUT": "SET", "SAVE_KEY": "SET", "WRITE": "SET", "CREATE": "SET", "LET": "SET", "INSERT": "SET",
    "UPDATE": "SET", "ASSIGN": "SET", "UPSERT": "SET", "POST": "SET", "MAKE": "SET",
    "READ": "GET", "FETCH": "GET", "SHOW": "GET", "PRINT": "GET", "RETRIEVE": "GET", "LOOKUP": "GET", "VIEW": "GET",
    "DISPLAY": "GET", "CAT": "GET", "FIND": "KEYS SCAN", "SEARCH": "KEYS SCAN", "LIST": "LRANGE KEYS", "LS": "KEYS",
    "INCREMENT": "INCR", "INCREASE": "INCRBY INCR", "PLUS": "INCRBY", "DECREMENT": "DECR", "DECREASE": "DECRBY DECR",
    "SUBTRACT": "DECRBY", "SUB": "SUBSCRIBE DECRBY", "MINUS": "DECRBY", "ADD": "SADD ZADD PFADD INCRBY RPUSH",
    "PUSH": "RPUSH LPUSH", "ENQUEUE": "LPUSH RPUSH", "UNSHIFT": "LPUSH", "SHIFT": "LPOP", "POP": "LPOP RPOP",
    "DEQUEUE": "RPOP LPOP", "LENGTH": "STRLEN LLEN", "LEN": "STRLEN LLEN", "SIZE": "STRLEN LLEN DBSIZE",
    "COUNT": "SCARD ZCARD DBSIZE", "CARD": "SCARD ZCARD", "EXIST": "EXISTS", "HAS": "EXISTS", "CONTAINS": "SISMEMBER",
    "MEMBERS": "SMEMBERS", "CLEAR_ALL": "FLUSHDB", "FLUSH": "FLUSHDB FLUSHALL", "EMPTY": "FLUSHDB",
    "TRUNCATE": "FLUSHDB LTRIM", "WIPE": "FLUSHDB", "LOGIN": "AUTH", "PASSWORD": "AUTH", "AUTHENTICATE": "AUTH",
    "USE": "SELECT", "DB": "SELECT", "DATABASE": "SELECT", "COMMIT": "EXEC", "EXECUTE": "EXEC", "ROLLBACK": "DISCARD",
    "ABORT": "DISCARD", "CANCEL": "DISCARD", "BEGIN": "MULTI", "START": "MULTI", "TRANSACTION": "MULTI",
    "SEND": "PUBLISH", "EMIT": "PUBLISH", "PUB": "PUBLISH", "BROADCAST": "PUBLISH", "LISTEN": "SUBSCRIBE",
    "JOIN": "SUBSCRIBE", "LEAVE": "UNSUBSCRIBE", "UNSUB": "UNSUBSCRIBE", "MV": "RENAME", "CHANGE": "SET",
    "REN": "RENAME", "CP": "COPY", "CONCAT": "APPEND", "SUBSTR": "GETRANGE", "SUBSTRING": "GETRANGE", "SLICE":
    "GETRANGE LRANGE", "EXPIRES": "EXPIRE", "TIMEOUT": "EXPIRE", "TTL_SET": "EXPIRE", "UNEXPIRE": "PERSIST",
    "UNION": "SUNION ZUNION", "INTERSECT": "SINTER ZINTER", "INTERSECTION": "SINTER", "DIFF": "SDIFF ZDIFF",
    "DIFFERENCE": "SDIFF", "MERGE": "PFMERGE", "RANK": "ZRANK ZREVRANK", "SCORE": "ZSCORE", "TRIM": "LTRIM XTRIM",
    "RANGE": "LRANGE ZRANGE", "REM": "SREM ZREM LREM", "MEMBER": "SISMEMBER", "ISMEMBER": "SISMEMBER",
    "LOCK": "SET", "SCRIPT_RUN": "EVAL", "LUA": "EVAL", "CALL": "FCALL EVAL", "RUN": "EVAL FCALL", "STATUS": "INFO",
    "SLEEP": "DEBUG",
    "STATS": "INFO", "VERSION": "INFO", "STOP": "SHUTDOWN", "HALT": "SHUTDOWN", "BACKUP": "BGSAVE SAVE", "SLAVE":
    "REPLICAOF", "REPLICATE": "REPLICAOF", "REPLICA": "REPLICAOF", "FOLLOW": "REPLICAOF", "PROMOTE": "REPLICAOF",
    "USERS": "ACL", "USER": "ACL", "WHOAMI": "ACL", "CLIENTS": "CLIENT", "SETTING": "CONFIG", "SETTINGS": "CONFIG",
    "SHOWTYPE": "TYPE", "TYPEOF": "TYPE", "HSETALL": "HSET HMSET", "HMGETALL": "HGETALL", "GETALL": "HGETALL MGET",
    "HDELETE": "HDEL", "HREM": "HDEL", "HADD": "HSET", "LADD": "RPUSH LPUSH", "LAPPEND": "RPUSH", "SPUSH": "SADD",
    "ZINCR": "ZINCRBY", "HINCR": "HINCRBY", "ZDEL": "ZREM", "SDEL": "SREM", "LDEL": "LREM", "SCOUNT": "SCARD",
    "ZLEN": "ZCARD", "SLEN": "SCARD", "LCOUNT": "LLEN", "LSIZE": "LLEN", "HSIZE": "HLEN", "HCOUNT": "HLEN",
    "LGET": "LINDEX LRANGE", "SGET": "SMEMBERS", "ZGET": "ZSCORE ZRANGE", "SSET": "SADD", "ZSET": "ZADD",
    "SCHANGE": "SMOVE", "TAIL": "LRANGE", "HEAD": "LRANGE", "PEEK": "LINDEX", "NOW": "TIME", "DATE": "TIME",
}  # fmt: skip

# Commands of other types for the same purpose, tried in this order.
RELATIVES = {
    "GET": "MGET HGET GETRANGE GETEX GETDEL LINDEX HMGET HGETALL LRANGE SMEMBERS",
    "SET": "HSET MSET SETEX SETNX SETRANGE GETSET LSET",
    "MSET": "HSET SET", "MGET": "HMGET GET", "HGET": "HMGET HGETALL GET", "HMGET": "HGET HGETALL",
    "HGETALL": "HGET HMGET",
    "HSET": "SET MSET HSETNX HMSET", "INCR": "INCRBY HINCRBY INCRBYFLOAT", "DECR": "DECRBY",
    "INCRBY": "INCR HINCRBY "
"ZINCRBY INCRBYFLOAT", "DECRBY": "DECR", "HINCRBY": "INCRBY HINCRBYFLOAT", "ZINCRBY": "INCRBY ZADD",
    "LPOP": "LMPOP RPOP LREM SPOP LMOVE", "RPOP": "LREM SPOP LMOVE", "DEL": "HDEL SREM ZREM LREM XDEL",
    "EXISTS": "HEXISTS SISMEMBER ZSCORE", "EXPIRE": "SETEX EXPIREAT PEXPIRE", "TTL": "EXPIRE PTTL",
    "KEYS": "SCAN DBSIZE",
    "DBSIZE": "KEYS", "LRANGE": "LINDEX ZRANGE", "ZRANGE": "LRANGE ZSCORE ZRANGEBYSCORE",
    "SMEMBERS": "SISMEMBER SMISMEMBER",
    "SISMEMBER": "SMISMEMBER SMEMBERS", "ZSCORE": "ZMSCORE ZRANK", "SADD": "ZADD PFADD", "ZADD": "SADD ZINCRBY",
    "LINDEX": "LRANGE", "RENAME": "COPY", "STRLEN": "LLEN SCARD HLEN", "LLEN": "STRLEN", "AUTH": "HELLO",
    "SELECT": "SWAPDB",
    "PUBLISH": "SPUBLISH", "SUBSCRIBE": "PSUBSCRIBE SSUBSCRIBE", "EVAL": "EVALSHA FCALL", "EVALSHA": "EVAL",
    "SETEX": "SET", "APPEND": "SET LPUSH", "RPUSH": "LPUSH LINSERT", "SETBIT": "SET", "REPLICAOF": "FAILOVER",
    "BLPOP": "LPOP", "BRPOP": "RPOP", "SPOP": "SRANDMEMBER", "ZREM": "ZREMRANGEBYSCORE ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE": "ZREM ZREMRANGEBYRANK", "PERSIST": "TTL", "GETRANGE": "GET", "SINTER": "SINTERSTORE",
    "SUNION": "SUNIONSTORE", "SDIFF": "SDIFFSTORE", "PFCOUNT": "PFADD", "PFADD": "PFMERGE",
}  # fmt: skip

# For a value of each type: what reads it, what changes it, what counts it.
OF_TYPE = {
    "string": ("GET", "SET", "STRLEN"),
    "list": ("LRANGE", "RPUSH", "LLEN"),
    "hash": ("HGET", "HSET", "HLEN"),
    "set": ("SMEMBERS", "SADD", "SCARD"),
    "zset": ("ZRANGE", "ZADD", "ZCARD"),
    "stream": ("XRANGE", "XADD", "XLEN"),
}
_COUNTING = word_set("STRLEN LLEN HLEN SCARD ZCARD XLEN")


OF_THE_SHELL = (
    "cat", "cp", "echo", "grep", "head", "help", "hostname", "ls", "mv", "nc", "pkill", "printf", "pull-the-plug",
    "pwd", "redis-cli", "redis-server", "redis-tutor", "rm", "scp", "sleep", "sudo", "systemctl", "tail",
    "truncate", "wc", "xxd",
)  # fmt: skip


def is_command(word: str) -> bool:
    """Return whether Redis has a command of this name."""
    return 0 < len(word) <= WORD and CommandDocs.load().find([word]) is not None


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all commands, without subcommands."""
    return tuple(command.name for command in CommandDocs.load().top())


def suggest(word: str, about: Collection[str] = (), most: int = 2) -> list[str]:
    """Return the commands that an unknown name may stand for, best first; `about` are preferred."""
    if not 0 < len(word) <= WORD:
        return []
    upper = word.upper().replace("-", "").replace("_", "")
    ranked: dict[str, tuple[float, int, str]] = {}

    def offer(name: str, rank: float) -> None:
        entry = (rank - (1.5 if name in about else 0), len(name), name)
        if name not in ranked or entry < ranked[name]:
            ranked[name] = entry

    for place, name in enumerate(MEANINGS.get(upper, "").split()):
        offer(name, 0.2 * place)
    for name in names():
        off = distance(upper, name, 2)
        same_letters = sorted(upper) == sorted(name)
        if off <= (1 if len(upper) <= 4 else 2) and (len(upper) > 2 or _lacks_a_letter(upper, name)):
            offer(name, 1 + off - (0.5 if same_letters else 0) + (0.25 if name[0] != upper[0] else 0))
        elif upper.startswith(name) and len(name) >= 4:  # CONFIGGET, INCRBY10
            offer(name, 2.5)
        elif len(upper) >= 3 and name.startswith(upper):
            offer(name, 3.0)
        elif len(upper) >= 3 and name.endswith(upper):
            offer(name, 3.5)
    if not ranked and len(upper) > 3:  # PUHS is PUSH, which is no command either
        for meant in (each for each in MEANINGS if distance(upper, each, 1) == 1):
            for place, name in enumerate(MEANINGS[meant].split()):
                offer(name, 4 + 0.2 * place)
    best = sorted(ranked.values())
    if not best:
        return []
    worst = best[0][0] + 1.0
    return [name for rank, _, name in best if rank <= worst][:most]


def _lacks_a_letter(word: str, name: str) -> bool:
    """Return whether two letters are a name of three without one that is not its first: `ST` for `SET`."""
    return len(word) == 2 and word in (name[0] + name[2:], name[:2]) and len(name) == 3


def unknown(argv: Sequence[str], about: Collection[str] = (), words: Collection[str] = ()) -> Diagnosis:
    """Return what to say about a command that does not exist. `words`: the task's keys and values."""
    name = argv[0]
    if elsewhere := not_here(name):
        return Diagnosis("command", "command", elsewhere)
    if name.casefold() in {word.casefold() for word in words} and not is_command(name):
        return Diagnosis(
            "command",
            "command",
            f"{code(name)} is not a command: a line begins with the command's name, then come its words.",
        )
    near = suggest(name, about)
    upper = name.upper()
    if len(near) == 1 and upper.startswith(near[0]) and upper != near[0] and MEANINGS.get(upper) is None:
        rest = upper[len(near[0]) :].lstrip("_-:,")
        container = CommandDocs.load().find([near[0], rest])
        if rest and ((container and container[1] == 2) or distance(upper, near[0]) > 2):
            return Diagnosis("command", "command", f"{code(name)} needs a space after {code(near[0])}.")
    text = f"Redis has no command {code(name)}."
    if upper not in MEANINGS and len(holders := containers(upper)) == 1:
        text = f"{code(name)} is a subcommand: it comes after {code(holders[0])}."
    elif near:
        text += f" Did you mean {either(near)}?"
    elif len(argv) > 3 and all(word.isalpha() for word in argv[:3]):
        text += " A command is a name with arguments, not a sentence."
    return Diagnosis("command", "command", text)


def not_here(name: str) -> str:
    """Return why a server does not know a command that exists; nothing for one that does not exist."""
    if CommandDocs.of_sentinel().find([name]) is not None:
        return f"{code(name)} is a command of Sentinels, and this is a server of another kind."
    if is_command(name):
        return f"Redis has {code(name)}, but this server does not: it is a Sentinel, or the command was renamed."
    return ""


@functools.cache
def containers(word: str) -> tuple[str, ...]:
    """Return the commands that have a subcommand of this name."""
    commands = (*CommandDocs.load().top(), *CommandDocs.of_sentinel().top())
    return tuple(each.name for each in commands if word in each.subcommands)


def fits(words: Sequence[str]) -> bool:
    """Return whether words are a whole command that follows its syntax."""
    parsed = typed.parse(list(words))
    return parsed is not None and not (parsed.positional and not parsed.places)  # of undocumented syntax


def sibling(argv: Sequence[str], about: Iterable[str] = ()) -> str:
    """Return the relative of a command that takes exactly these words; nothing if there is none."""
    upper = argv[0].upper()
    rest = list(argv[1:])
    first = [name for name in about if name in RELATIVES.get(upper, "").split()]
    for name in (*first, *RELATIVES.get(upper, "").split()):
        if name != upper and fits([name, *rest]):
            return name
    return ""


def for_type(command: str, kind: str, argv: Sequence[str]) -> str:
    """Return the command that does to a value of this type what `command` does to its own."""
    if kind not in OF_TYPE:
        return ""
    reading, writing, counting = OF_TYPE[kind]
    upper = command.upper()
    if upper in _COUNTING:
        return counting
    flags, _ = typed.reach([word.encode("utf-8", "surrogateescape") for word in (upper, *argv[1:])])
    return writing if flags & WRITE else reading
