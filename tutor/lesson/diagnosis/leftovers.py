"""What earlier tries left behind, when the right line was typed and the task is still open."""

from collections.abc import Sequence
from typing import Any

from tutor.lesson.checks import Attempt, Inspection
from tutor.lesson.diagnosis.goal import Goal, Wanted, flat, keys_of, name_of
from tutor.lesson.diagnosis.in_shell import as_meant
from tutor.lesson.diagnosis.model import Diagnosis, code, either
from tutor.lesson.model import CheckCondition
from tutor.lesson.side_effects import changes
from tutor.prompt import to_text

_READS = {"set": ["SMEMBERS"], "zset": ["ZRANGE", "0", "-1"], "hash": ["HKEYS"], "list": ["LRANGE", "0", "-1"]}
_WHOLE = {("SMEMBERS",), ("ZRANGE", "0", "-1"), ("ZREVRANGE", "0", "-1"), ("LRANGE", "0", "-1"), ("HKEYS",)}
_PARTS = {"set": "member", "zset": "member", "hash": "field", "list": "element"}
_ADD_UP = frozenset(  # commands that do more when they run a second time
    b"append decr decrby hincrby hincrbyfloat incr incrby incrbyfloat linsert lmove lpop lpush lpushx rpop rpoplpush "
    b"rpush rpushx spop xadd zincrby zpopmax zpopmin".split()
)
MOST = 100  # elements of a value that is looked at


def is_right(goal: Goal, last: Attempt) -> bool:
    """Return whether a line is one of the solution, typed where it belongs."""
    return any(_is(each, last) for each in goal.lines)


def _is(line: Wanted, typed: Attempt) -> bool:
    words = [to_text(word) for word in typed.argv]
    return typed.terminal == line.terminal and (
        as_meant(words) == as_meant(line.full)
        or (bool(words) and words[0].upper() == line.words[0].upper() and tuple(words[1:]) == line.words[1:])
    )


def omitted(goal: Goal, attempts: Sequence[Attempt], said: str) -> Diagnosis | None:
    """Return what the author `said` is missing if a task's last line was typed without the first one.

    In a shell, any call of the same program is taken for that line.
    """
    if len(goal.lines) < 2 or not said:
        return None
    first, line, typed = goal.lines[0], goal.lines[-1], attempts[-1]
    same = line.shell and typed.terminal == line.terminal and typed.argv[:1] == (line.full[0].encode(),)
    if not (same or _is(line, typed)) or any(each.own and _is(first, each) for each in attempts):
        return None
    return Diagnosis("check", "line", said)


def named(goal: Goal, attempts: Sequence[Attempt], inspect: Inspection) -> Diagnosis | None:
    """Return which elements of a value an earlier try has left, if the task wants the value without them."""
    before = {to_text(word) for each in attempts[:-1] if each.own and not each.failed for word in each.argv[2:]}
    if not before:
        return None
    for condition in flat(goal.task.conditions):
        key, wanted = _wanted(condition)
        if not wanted or condition.server:
            continue
        kind, found = _elements(key, condition.db, inspect)
        more = [each for each in found if each not in wanted and each in before]
        if more:
            text = f"{code(key)} also has the {_PARTS[kind]} {either(more[:1])}, from an earlier attempt"
            complete = wanted <= set(found)
            return Diagnosis("state", "leftover", f"{text}: remove it, or undo.", near=complete)
    return None


def earlier(goal: Goal, attempts: Sequence[Attempt]) -> Diagnosis | None:
    """Return which earlier change may be in the way, when a line is right and changes nothing about that."""
    if len(goal.lines) != 1 or not attempts or attempts[-1].failed or not is_right(goal, attempts[-1]):
        return None
    own = [each for each in attempts[:-1] if each.own and not each.failed and changes(each.argv)]
    wrongs = [each for each in reversed(own) if not is_right(goal, each) and _is_related(goal, each)]
    if goal.several_servers:  # what was done to the same server is done otherwise now
        wrongs = [each for each in wrongs if each.terminal != attempts[-1].terminal] or wrongs
    wrong = next(iter(wrongs), None)
    if wrong is None:
        return None
    where = f", typed in {code(wrong.terminal)}," if wrong.terminal != attempts[-1].terminal else ""
    text = f"This line is right, but {code(wrong.text or wrong.line)}{where} is still in effect."
    return Diagnosis("state", "leftover", f"{text} Undo (`:undo`) until it is undone, then type this line again.")


def is_in_the_way(goal: Goal, attempt: Attempt) -> bool:
    """Return whether a try may keep the solution, typed after it, from being right."""
    if not attempt.own or attempt.failed or not changes(attempt.argv):
        return False
    if is_right(goal, attempt):
        return attempt.argv[0].lower() in _ADD_UP
    return attempt.terminal in goal.shells or _is_related(goal, attempt)


def _is_related(goal: Goal, attempt: Attempt) -> bool:
    """Return whether a command may have changed what the task is about."""
    words = [to_text(word) for word in attempt.argv]
    return name_of(words) in goal.names or bool(set(keys_of(words)) & set(goal.keys))


def _wanted(condition: CheckCondition) -> tuple[str, set[str]]:
    """Return the key of which a condition wants all elements, and these; both are empty if it does not."""
    key, value = condition.key or "", condition.value
    words = (condition.command or "").split()
    if len(words) > 1 and (words[0].upper(), *words[2:]) in _WHOLE:
        key, value = words[1], condition.is_
    return (key, {str(each) for each in value}) if key and isinstance(value, (list, dict)) else ("", set())


def _elements(name: str, db: int, inspect: Inspection) -> tuple[str, list[str]]:
    """Return the type of a key's value, and its elements."""
    key = name.encode()
    kind = _text(inspect([b"TYPE", key], db))
    read = _READS.get(kind)
    if read is None or not _is_small(kind, key, db, inspect):
        return kind, []
    reply = inspect([read[0].encode(), key, *(each.encode() for each in read[1:])], db)
    return kind, [_text(each) for each in reply] if isinstance(reply, (list, tuple, set, frozenset)) else []


_COUNTS = {"set": b"SCARD", "zset": b"ZCARD", "hash": b"HLEN", "list": b"LLEN"}


def _is_small(kind: str, key: bytes, db: int, inspect: Inspection) -> bool:
    size = inspect([_COUNTS[kind], key], db)
    return isinstance(size, int) and size <= MOST


def _text(reply: Any) -> str:
    return to_text(bytes(reply)) if isinstance(reply, (bytes, bytearray)) else str(reply)


def find(goal: Goal, attempts: Sequence[Attempt], inspect: Inspection) -> Diagnosis | None:
    """Return what an earlier try has left that keeps the task open, the most specific first."""
    attempts = [each for each in attempts if each.argv]
    return (named(goal, attempts, inspect) or earlier(goal, attempts)) if attempts else None
