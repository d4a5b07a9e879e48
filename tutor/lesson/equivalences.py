"""Other right ways: commands that do the same as one of a solution.

`routes` yields the lines that may be typed in place of a line. A rule does not apply where the task's text names the
command that it would replace, or asks for one command and the rule needs two.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

from tutor.lesson import typed
from tutor.lesson.diagnosis.model import ONE_COMMAND, word_set
from tutor.prompt import split_args, to_text
from tutor.prompt.words import spell

Words = Sequence[str]
Rule = Callable[[Words], Iterator[list[list[str]]]]


def routes(line: str, goal: str, shell: bool) -> Iterator[list[str]]:
    """Yield the lines that do the same as a line of a solution."""
    argv = split_args(line)
    if not argv:
        return
    words = [to_text(each) for each in argv]
    if shell:
        yield from ([each] for each in _in_a_shell(line))
        return
    count = [words[0]] if words[0].isdigit() and len(words) > 1 else []
    own = words[len(count) :]
    seen = {line}
    for rule in _RULES:
        for lines in rule(own):
            replaced = lines[0][0].upper() != own[0].upper()
            if (replaced and f"`{own[0].upper()}" in goal) or (
                len(lines) > 1 and (ONE_COMMAND.search(goal) or count)
            ):
                continue
            typed_ = [" ".join([*count, *map(_spelled, each)]) for each in lines]
            if typed_[0] not in seen:
                seen.add(typed_[0])
                yield typed_


_OF_A_CONNECTION = word_set(  # what these do ends with redis-cli
    "AUTH SELECT MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE CLIENT HELLO RESET "
    "QUIT MONITOR READONLY"
)


def in_a_shell(line: str) -> Iterator[str]:
    """Yield what does the same as a command in a shell of the same machine."""
    name, *rest = line.upper().split()
    if name not in _OF_A_CONNECTION and not name.isdigit():
        yield f"redis-cli {line}"
    if name == "SHUTDOWN" and "NOSAVE" not in rest:
        yield "systemctl stop redis-server"


def _spelled(word: str) -> str:
    return spell(word.encode("utf-8", "surrogateescape"))


def _case(words: Words) -> Iterator[list[list[str]]]:
    """A command's name in any case."""
    yield [[words[0].lower(), *words[1:]]]
    yield [[words[0].capitalize(), *words[1:]]]


def _options(words: Words) -> Iterator[list[list[str]]]:
    """Options in any order, and in small letters."""
    parsed = typed.parse(list(words))
    if parsed is None or not parsed.options or any(token in ("STREAMS", "GROUP") for token, _ in parsed.options):
        return
    end = [each for token, values in parsed.options for each in (token, *values)]
    if [each.upper() for each in words[len(words) - len(end) :]] != [each.upper() for each in end]:
        return
    head = list(words[: len(words) - len(end)])
    for order in itertools.islice(itertools.permutations(parsed.options), 1, 4):
        if parsed.name in ("SET", "EXPIRE", "GETEX", "SCAN"):
            yield [[*head, *(each for token, values in order for each in (token, *values))]]
    yield [[*head, *(each for token, values in parsed.options for each in (token.lower(), *values))]]


def _same(name: str, *others: str) -> Rule:
    def rule(words: Words) -> Iterator[list[list[str]]]:
        if words[0].upper() == name:
            for other in others:
                yield [[*other.split(), *words[1:]]]

    return rule


def _strings(words: Words) -> Iterator[list[list[str]]]:
    name, rest = words[0].upper(), list(words[1:])
    if name == "SET" and len(rest) == 2:
        yield [["MSET", *rest]]
        yield [["GETSET", *rest]]
        yield [["SET", *rest, "GET"]]
        yield [["DEL", rest[0]], ["APPEND", *rest]]
    if name == "SET" and len(rest) == 4 and rest[2].upper() == "EX":
        yield [["SETEX", rest[0], rest[3], rest[1]]]
        yield [["PSETEX", rest[0], f"{rest[3]}000", rest[1]]]
        yield [["SET", rest[0], rest[1], "PX", f"{rest[3]}000"]]
        yield [["SET", *rest[:2]], ["EXPIRE", rest[0], rest[3]]]
    if name == "SET" and len(rest) == 3 and rest[2].upper() == "NX":
        yield [["SETNX", *rest[:2]]]
        yield [["SET", *rest, "GET"]]
    if name == "GET":
        yield [["MGET", *rest]]
        yield [["GETRANGE", *rest, "0", "-1"]]
    if name == "INCR":
        yield [["INCRBY", *rest, "1"]]
        yield [["DECRBY", *rest, "-1"]]
    if name in ("INCRBY", "DECRBY") and len(rest) == 2:
        turned = rest[1][1:] if rest[1].startswith("-") else f"-{rest[1]}"
        yield [["DECRBY" if name == "INCRBY" else "INCRBY", rest[0], turned]]
    if name == "EXPIRE" and rest[1:2]:
        yield [["PEXPIRE", rest[0], f"{rest[1]}000", *rest[2:]]]
    if name == "EXPIREAT":
        yield [["PEXPIREAT", rest[0], f"{rest[1]}000", *rest[2:]]]
    if name == "PERSIST":
        yield [["GETEX", rest[0], "PERSIST"]]
    if name == "GETEX" and rest[1:2] == ["EX"]:
        yield [["GETEX", rest[0], "PX", f"{rest[2]}000"]]


def _collections(words: Words) -> Iterator[list[list[str]]]:
    name, rest = words[0].upper(), list(words[1:])
    if name in ("HSET", "ZADD") and len(rest) == 5 and not rest[1].isupper():
        yield [[name, rest[0], *rest[3:5], *rest[1:3]]]
        yield [[name, *rest[:3]], [name, rest[0], *rest[3:5]]]
    if name in ("SADD", "PFADD", "DEL", "UNLINK") and len(rest) > 2:
        head = [name, rest[0]] if name in ("SADD", "PFADD") else [name]
        tail = rest[1:] if name in ("SADD", "PFADD") else rest
        yield [[*head, *reversed(tail)]]
        yield [[*head, each] for each in tail]
    if name == "RPUSH" and len(rest) > 2:
        yield [[name, rest[0], each] for each in rest[1:]]
    if name in ("LPOP", "RPOP") and len(rest) == 1:
        yield [[name, *rest, "1"]]
        yield [[f"B{name}", *rest, "1"]]
        yield [["LMPOP", "1", *rest, "LEFT" if name == "LPOP" else "RIGHT"]]
    if name == "ZINCRBY":
        yield [["ZADD", rest[0], "INCR", *rest[1:]]]
    if name == "ZRANGE" and [each.upper() for each in rest[3:]] == ["BYSCORE"]:
        yield [["ZRANGEBYSCORE", *rest[:3]]]
        yield [["ZREVRANGEBYSCORE", rest[0], rest[2], rest[1]]]
        yield [["ZRANGE", rest[0], rest[2], rest[1], "BYSCORE", "REV"]]
        yield [[*words, "WITHSCORES"]]
    if name == "ZRANGE" and [each.upper() for each in rest[3:]] == ["REV", "WITHSCORES"]:
        yield [["ZREVRANGE", *rest[:3], "WITHSCORES"]]
    if name == "KEYS":
        yield [["SCAN", "0", "MATCH", *rest, "COUNT", "1000"]]
    if name == "RENAME":
        yield [["RENAMENX", *rest]]
        yield [["COPY", *rest], ["DEL", rest[0]]]


_SPELLINGS = {"~*": "allkeys", "+@all": "allcommands", "&*": "allchannels"}


def _servers(words: Words) -> Iterator[list[list[str]]]:
    name, rest = words[0].upper(), list(words[1:])
    if name == "CONFIG" and rest[:1] == ["GET"] and len(rest) == 2 and rest[1].isalpha():
        yield [["CONFIG", "GET", rest[1].upper()]]
        yield [["CONFIG", "GET", rest[1][:-1] + "?"]]
        yield [["CONFIG", "GET", rest[1], "timeout"]]
    if name == "CONFIG" and rest[:1] == ["SET"] and len(rest) == 5:
        yield [["CONFIG", "SET", *rest[3:5], *rest[1:3]]]
    if name == "CONFIG" and rest[:1] == ["SET"] and len(rest) == 3:
        yield [["CONFIG", "SET", rest[1].upper(), rest[2]]]
    if name == "INFO" and len(rest) == 1:
        yield [["INFO", rest[0].upper()]]
        yield [["INFO", "everything"]]
        yield [["INFO", rest[0], "clients"]]
    if name == "AUTH" and len(rest) == 1:
        yield [["AUTH", "default", *rest]]
    if name == "REPLICAOF":
        yield [["SLAVEOF", *rest]]
    if name == "BGSAVE":
        yield [["SAVE"]]
    if name == "ACL" and rest[:1] == ["SETUSER"] and len(rest) > 3:
        rules = rest[2:]
        if sum(each.startswith(("+", "-")) for each in rules) == 1 or not any(each[0] == "-" for each in rules):
            yield [["ACL", "SETUSER", rest[1], *reversed(rules)]]
            yield [["ACL", "SETUSER", rest[1], each] for each in rules]
        yield [["ACL", "SETUSER", rest[1], *(_SPELLINGS.get(each, each) for each in rules)]]
    if name == "SHUTDOWN":
        yield [[name, *(each.lower() for each in rest)]]


_READS = {  # what reads the value that a command adds to, and what overwrites it
    "INCR": ("GET {0}", "SET {0} {value}"), "INCRBY": ("GET {0}", "SET {0} {value}"),
    "DECR": ("GET {0}", "SET {0} {value}"), "DECRBY": ("GET {0}", "SET {0} {value}"),
    "INCRBYFLOAT": ("GET {0}", "SET {0} {value}"), "APPEND": ("GET {0}", "SET {0} {value}"),
    "HINCRBY": ("HGET {0} {1}", "HSET {0} {1} {value}"), "HINCRBYFLOAT": ("HGET {0} {1}", "HSET {0} {1} {value}"),
    "ZINCRBY": ("ZSCORE {0} {2}", "ZADD {0} {value} {2}"),
}  # fmt: skip


def value_of(words: Words) -> str:
    """Return the command that reads what a command adds to; nothing if it does not add."""
    forms = _READS.get(words[0].upper()) if words else None
    return forms[0].format(*map(_spelled, words[1:]), value="") if forms is not None else ""


def overwriting(words: Words, value: str) -> str:
    """Return the command that sets a value where another one adds to it: the same state, by another way."""
    return _READS[words[0].upper()][1].format(*map(_spelled, words[1:]), value=_spelled(value))


_RULES: tuple[Rule, ...] = (
    _case,
    _options,
    _strings,
    _collections,
    _servers,
    _same("HSET", "HMSET"),
    _same("DEL", "UNLINK"),
    _same("EVAL", "eval"),
)


def _in_a_shell(line: str) -> Iterator[str]:
    if line.startswith("sudo "):
        yield line.removeprefix("sudo ")
    elif line.startswith(("systemctl ", "pkill ")):
        yield f"sudo {line}"
    if line.startswith("systemctl ") and line.endswith("redis-server"):
        yield f"{line}.service"
    if line == "pkill -9 redis-server":
        yield "pkill redis-server -9"
        yield "pkill -KILL redis-server"
        yield "pkill -SIGKILL redis-server"
    if line.startswith("redis-cli ") and not line.startswith("redis-cli -"):
        yield line.replace("redis-cli ", "redis-cli -h 127.0.0.1 -p 6379 ", 1)
    if "| grep " in line:
        yield line.partition(" |")[0]
