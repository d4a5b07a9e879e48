"""Conditions on a server's state and on what was typed: does one hold, and if not, what is missing.

The state is looked at through `inspect`, so a check changes nothing. What a condition misses is said in the learner's
terms ("`user:1` holds a list, but the task needs a string"), without ever saying the solution.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Verbatim
from engine.table.declarations import READONLY, WRITE
from tutor.lesson import typed
from tutor.lesson.model import CheckCondition, Range
from tutor.lesson.side_effects import changes
from tutor.prompt import split_args, to_text
from tutor.prompt.words import to_bytes

Inspection = Callable[[Sequence[bytes], int], Any]

# What no command of a server tells: a machine's file (its bytes, or None), and whether its server runs.
FILE = b"@file"
UP = b"@up"

LENGTHS = {"string": "STRLEN", "list": "LLEN", "hash": "HLEN", "set": "SCARD", "zset": "ZCARD", "stream": "XLEN"}
NAMES = {"zset": "sorted set"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command that was typed, with what it gave."""

    terminal: str
    argv: tuple[bytes, ...]
    printed: str
    db: int = 0
    failed: bool = False
    own: bool = True  # not an example that was typed for the learner
    text: str = ""  # the line as it was typed
    together: int = 1  # of a command that a program sent: how many it sent at once

    @property
    def line(self) -> str:
        """The command as words with single spaces, its name in capitals."""
        words = [to_text(word) for word in self.argv]
        return " ".join([words[0].upper(), *words[1:]]) if words else ""


KEPT_WORDS = 150  # of a command; a longer one is an import or a paste, which no task asks for
KEPT_BYTES = 10_000  # of a word
KEPT_REPLY = 200_000  # characters


def kept(argv: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the words of a command as they are kept: every line is compared with those before it."""
    return tuple(word if len(word) <= KEPT_BYTES else word[:KEPT_BYTES] for word in argv[: KEPT_WORDS + 1])


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a condition holds; `missing` says what is not so (and may be shown); `kind` sorts it."""

    holds: bool
    missing: str = ""
    kind: str = ""
    key: str = ""


HOLDS = Finding(True)


def check(
    conditions: Sequence[CheckCondition], inspect: Inspection, attempts: Sequence[Attempt], refused: bool = False
) -> Finding:
    """Return the finding of the first condition that does not hold. `refused`: a command that failed counts, too."""
    for condition in conditions:
        finding = _evaluate(condition, inspect, attempts, refused)
        if not finding.holds:
            return finding
    return HOLDS


def _evaluate(condition: CheckCondition, inspect: Inspection, attempts: Sequence[Attempt], refused: bool) -> Finding:
    finding = _kind(condition, inspect, attempts, refused)
    if not finding.holds and condition.say and finding.kind != "elsewhere":
        return Finding(False, condition.say, "said", finding.key)
    return finding


def _kind(condition: CheckCondition, inspect: Inspection, attempts: Sequence[Attempt], refused: bool) -> Finding:
    if condition.server:
        inspect = _at(inspect, condition.server)
    if condition.all is not None:
        return check(condition.all, inspect, attempts, refused)
    if condition.any is not None:
        findings = [_evaluate(each, inspect, attempts, refused) for each in condition.any]
        return next((each for each in findings if each.holds), findings[0] if findings else HOLDS)
    if condition.not_ is not None:
        holds = _evaluate(condition.not_, inspect, attempts, refused).holds
        return Finding(False, "something still exists that should not", "not") if holds else HOLDS
    if condition.key is not None:
        return _key(condition, inspect)
    if condition.command is not None:
        return _command(condition, inspect)
    if condition.file is not None:
        return _file(condition, inspect)
    if condition.up is not None:
        running = _at(inspect, condition.up)([UP], 0)
        if bool(running) is not condition.missing:
            return HOLDS
        return Finding(False, f"the server `{condition.up}` is {'still' if running else 'not'} running", "up")
    if (
        condition.terminal is not None
        and [condition.typed, condition.reads, condition.writes, condition.replied] == [None] * 4
    ):
        return _changed_there(condition.terminal, attempts)
    return _typed(condition, attempts, refused)


def _at(inspect: Inspection, server: str) -> Inspection:
    """Return how to inspect one of several servers."""
    return lambda argv, db: inspect(argv, db, server)  # type: ignore[call-arg]


def _file(condition: CheckCondition, inspect: Inspection) -> Finding:
    name = condition.file or ""
    data = inspect([FILE, name.encode()], 0)
    if condition.missing:
        return HOLDS if data is None else Finding(False, f"the file `{name}` still exists", "file")
    if data is None:
        return Finding(False, f"the file `{name}` does not exist yet", "file")
    if condition.matches is not None and re.search(condition.matches, to_text(data), re.S) is None:
        return Finding(False, f"the file `{name}` does not contain what the task asks for", "file")
    return HOLDS


# -- keys


def _key(condition: CheckCondition, inspect: Inspection) -> Finding:
    name = condition.key or ""
    key = name.encode()

    def look(*argv: str | bytes) -> Any:
        return inspect([each if isinstance(each, bytes) else each.encode() for each in argv], condition.db)

    type_ = look("TYPE", key)
    if isinstance(type_, ReplyError):  # a machine whose server does not run, or is loading
        return Finding(False, to_text(type_.text), "down")
    kind = to_text(type_)
    if condition.missing:
        return HOLDS if kind == "none" else Finding(False, f"`{name}` still exists", "exists", name)
    if kind == "none":
        where = f" in database {condition.db}" if condition.db else ""
        return Finding(False, f"the key `{name}`{where} does not exist yet", "absent", name)
    wanted = condition.type
    if wanted is not None and kind != wanted:
        text = f"`{name}` holds a {NAMES.get(kind, kind)}, but the task needs a {NAMES.get(wanted, wanted)}"
        return Finding(False, text, "type", name)
    if condition.encoding is not None:
        encoding = to_text(look("OBJECT", "ENCODING", key))
        if encoding != condition.encoding:
            return Finding(False, f"`{name}` is still encoded as {encoding}", "encoding", name)
    if condition.ttl is not None:
        finding = _ttl(condition.ttl, look("PTTL", key), name)
        if not finding.holds:
            return finding
    if condition.length is not None:
        command = LENGTHS.get(kind, "STRLEN")
        if not _within(condition.length, look(command, key)):
            return Finding(False, f"`{name}` does not have the length that the task asks for", "length", name)
    if condition.value is None and condition.contains is None and condition.matches is None:
        return HOLDS
    value = _read(kind, key, look, condition)
    if not _equal(condition.value, value) and condition.value is not None:
        return Finding(False, f"`{name}` exists, but does not hold what the task asks for", "value", name)
    return _content(condition, value, f"`{name}`", name)


def _ttl(wanted: str | Range, pttl: int, name: str) -> Finding:
    if wanted == "none":
        return HOLDS if pttl == -1 else Finding(False, f"`{name}` has a time to live", "ttl", name)
    if pttl < 0:
        return Finding(False, f"`{name}` does not have a time to live yet", "ttl", name)
    if isinstance(wanted, Range) and not _within(wanted, pttl / 1000):
        return Finding(False, f"`{name}` does not have the time to live that the task asks for", "ttl", name)
    return HOLDS


def _read(kind: str, key: bytes, look: Callable[..., Any], condition: CheckCondition) -> Any:
    match kind:
        case "string":
            return _texts(look("GET", key))
        case "hash":
            return _pairs(look("HGETALL", key))
        case "list":
            return _texts(look("LRANGE", key, "0", "-1"))
        case "set":
            return set(_texts(look("SMEMBERS", key)))
        case "zset":
            wanted = condition.value if condition.value is not None else condition.contains
            if isinstance(wanted, list):
                return _texts(look("ZRANGE", key, "0", "-1"))
            return _pairs(look("ZRANGE", key, "0", "-1", "WITHSCORES"))
    return ""


def _pairs(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {to_text(bytes(k)): str(_texts(v)) for k, v in reply.items()}
    flat = [text for each in reply for text in (_texts(each) if isinstance(each, list) else [_texts(each)])]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _texts(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return to_text(reply)
    if isinstance(reply, ReplyError):
        return f"(error) {to_text(reply.text)}"
    if isinstance(reply, Verbatim):
        return to_text(reply.text)
    if isinstance(reply, dict):
        return [_texts(each) for pair in reply.items() for each in pair]
    if isinstance(reply, (list, tuple)):
        return [_texts(each) for each in reply]
    if reply is None or isinstance(reply, (int, float)):
        return "(nil)" if reply is None else f"{reply:g}" if isinstance(reply, float) else str(reply)
    return str(reply)


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(found, (dict, set, list)):
        return False
    if isinstance(wanted, float) or (isinstance(wanted, int) and "." in str(found)):
        try:
            return float(found) == float(wanted)
        except ValueError:
            return False
    return str(wanted) == str(found)


def _equal(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and {str(each) for each in wanted} == set(found)
            and all(_same(value, found[str(name)]) for name, value in wanted.items())
        )
    if isinstance(wanted, list):
        if isinstance(found, set):
            return {str(each) for each in wanted} == found
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_same, wanted, found))
    return _same(wanted, found)


def _content(condition: CheckCondition, found: Any, what: str, name: str = "") -> Finding:
    if condition.contains is not None:
        wanted = condition.contains
        if isinstance(wanted, dict):
            holds = isinstance(found, dict) and all(
                str(k) in found and _same(v, found[str(k)]) for k, v in wanted.items()
            )
        elif isinstance(found, str):
            holds = str(wanted) in found
        else:
            every = wanted if isinstance(wanted, list) else [wanted]
            holds = all(str(each) in found for each in every)
        if not holds:
            return Finding(False, f"{what} does not hold everything yet that the task asks for", "value", name)
    if condition.matches is not None:
        text = found if isinstance(found, str) else "\n".join(map(str, found))
        if re.search(condition.matches, text, re.S) is None:
            return Finding(False, f"{what} is not what the task asks for", "value", name)
    return HOLDS


def _within(wanted: float | Range, found: Any) -> bool:
    if not isinstance(found, (int, float)):
        return False
    if isinstance(wanted, Range):
        return (wanted.min is None or found >= wanted.min) and (wanted.max is None or found <= wanted.max)
    return found == wanted


# -- commands that look


def _command(condition: CheckCondition, inspect: Inspection) -> Finding:
    argv = split_args(condition.command or "") or []
    reply = inspect(argv, condition.db)
    what = f"`{condition.command}`"
    if condition.is_ is not None and not _equal(condition.is_, _texts(reply)):
        return Finding(False, f"{what} does not give the expected reply yet", "reply")
    if condition.at_least is not None or condition.at_most is not None:
        try:
            number = float(_texts(reply))
        except (TypeError, ValueError):
            number = float("nan")
        if not _within(Range(min=condition.at_least, max=condition.at_most), number):
            return Finding(False, f"{what} does not give the expected number yet", "reply")
    return _content(condition, _texts(reply), what)


# -- what was typed


def _typed(condition: CheckCondition, attempts: Sequence[Attempt], refused: bool) -> Finding:
    patterns = None if condition.typed is None else _several(condition.typed)
    elsewhere = ""
    for attempt in attempts:
        if not _is_typed(condition, patterns, attempt, refused):
            continue
        if condition.terminal is None or attempt.terminal == condition.terminal:
            return HOLDS
        elsewhere = attempt.terminal
    if elsewhere:
        text = f"that was typed in the terminal `{elsewhere}`, and the task is about `{condition.terminal}`"
        return Finding(False, text, "elsewhere")
    where = f" in the terminal `{condition.terminal}`" if condition.terminal else ""
    if condition.reads is not None or condition.writes is not None:
        key, verb = condition.reads or condition.writes, "read" if condition.reads is not None else "changed"
        return Finding(False, f"no command has {verb} `{key}`{where} yet", "typed")
    if patterns is None or condition.replied is not None:
        return Finding(False, f"the reply that the task asks for has not been seen{where} yet", "typed")
    return Finding(False, f"the command that the task asks for has not been typed{where} yet", "typed")


def _is_typed(condition: CheckCondition, patterns: list[str] | None, attempt: Attempt, refused: bool) -> bool:
    """Return whether what was typed, and what came back, is what a condition asks for, in whatever terminal."""
    if not attempt.own or (attempt.failed and not refused and condition.replied is None):
        return False
    if patterns is not None and not any(typed.fits(pattern, attempt.argv) for pattern in patterns):
        return False
    if condition.together is not None and not _within(condition.together, attempt.together):
        return False
    if condition.without is not None and not typed.lacks(attempt.argv, _several(condition.without)):
        return False
    if condition.reads is not None and not _reaches(attempt, condition.reads, READONLY):
        return False
    if condition.writes is not None and not _reaches(attempt, condition.writes, WRITE):
        return False
    if condition.only_replied and typed.repeats(attempt.argv):
        return False
    return condition.replied is None or re.search(condition.replied, attempt.printed, re.M) is not None


def _changed_there(terminal: str, attempts: Sequence[Attempt]) -> Finding:
    """Return whether the last command that changed something was typed in a terminal."""
    last = next((each for each in reversed(attempts) if each.own and not each.failed and changes(each.argv)), None)
    if last is not None and last.terminal == terminal:
        return HOLDS
    if last is None:
        return Finding(False, f"nothing has been changed in the terminal `{terminal}` yet", "terminal")
    text = f"the last change was made in the terminal `{last.terminal}`, and the task names `{terminal}`"
    return Finding(False, f"{text}: undo it, and make it there", "terminal")


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _reaches(attempt: Attempt, key: str, flag: int) -> bool:
    """Return whether a command that reads (or one that writes) a key was executed."""
    return not attempt.failed and any(
        flags & flag and any(fnmatch.fnmatchcase(to_text(each), key) for each in keys)
        for flags, keys in (typed.reach([to_bytes(word) for word in words]) for words in typed.commands(attempt.argv))
    )
