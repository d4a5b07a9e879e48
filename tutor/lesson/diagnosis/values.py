"""What a command has made of a key, where the task wants it otherwise."""

from collections.abc import Sequence
from typing import Any

from engine.table.declarations import WRITE
from tutor.lesson import typed
from tutor.lesson.checks import Inspection
from tutor.lesson.diagnosis import commands
from tutor.lesson.diagnosis.goal import CHANGES_SEVERAL, Goal, flat, keys_of, name_of
from tutor.lesson.diagnosis.model import Diagnosis, code
from tutor.prompt import to_text


def state(goal: Goal, words: Sequence[str], inspect: Inspection, db: int) -> Diagnosis | None:
    """Return what a command has made of a key, if the task wants it otherwise."""
    name = name_of(words)
    flags, keys = typed.reach([each.encode("utf-8", "surrogateescape") for each in words])
    if not flags & WRITE and name not in CHANGES_SEVERAL:
        return None
    near = len(goal.lines) == 1 or name in CHANGES_SEVERAL
    if other := _other_type(goal, keys, name, inspect, db):
        return other
    if name not in goal.names and len(goal.lines) > 1:
        return None
    for condition in flat(goal.task.conditions):
        if condition.key is None or condition.server or condition.db != db:
            continue
        if condition.key.encode() not in keys and name not in CHANGES_SEVERAL:
            continue
        if (
            isinstance(condition.value, (str, int, float))
            and (found := _value(inspect([b"GET", condition.key.encode()], db)))
            and found != str(condition.value)
        ):
            wanted = (
                f", but the task needs {code(str(condition.value))}"
                if goal.shows(str(condition.value))
                else ", which is not what the task asks for"
            )
            return Diagnosis("goal", "value", f"{code(condition.key)} holds {code(found)}{wanted}.", near)
        if isinstance(condition.contains, dict):
            for field, value in condition.contains.items():
                found = _value(inspect([b"HGET", condition.key.encode(), str(field).encode()], db)) or _value(
                    inspect([b"ZSCORE", condition.key.encode(), str(field).encode()], db)
                )
                if found and found != str(value) and (str(field) in words or name in CHANGES_SEVERAL):
                    text = f"{code(str(field))} of {code(condition.key)} is {code(found)}"
                    text += (
                        f", but the task needs {code(str(value))}."
                        if goal.shows(str(value))
                        else ", which is not what the task asks for."
                    )
                    return Diagnosis("goal", "value", text, near)
    return None


def _other_type(goal: Goal, keys: Sequence[bytes], name: str, inspect: Inspection, db: int) -> Diagnosis | None:
    """Return what to say about a key that a command of another type made, where the task wants one type."""
    if name in goal.names or name in CHANGES_SEVERAL:
        return None
    for key in keys:
        wanted = _type_of(goal, to_text(key))
        reply = inspect([b"TYPE", key], db)
        kind = str(reply) if not isinstance(reply, bytes) else reply.decode()
        if wanted and kind in commands.OF_TYPE and kind != wanted:
            is_, wants = (each.replace("zset", "sorted set") for each in (kind, wanted))
            return Diagnosis("goal", "type", f"{code(to_text(key))} holds a {is_}, but the task needs a {wants}.")
    return None


def _type_of(goal: Goal, key: str) -> str:
    """Return the type that a key of the task has in the end, as its conditions or its solution show it."""
    for condition in flat(goal.task.conditions):
        if condition.key == key and condition.type is not None:
            return condition.type
    for each in goal.lines:
        if keys_of(each.words)[:1] == [key]:
            found = typed.declared(each.words[0].lower().encode())
            group = found.group.replace("_", "-") if found is not None and found.flags & WRITE else ""
            kind = {"sorted-set": "zset"}.get(group, group)
            if kind in commands.OF_TYPE and each.name not in ("SORT", "MIGRATE"):
                return kind
    return ""


def _value(reply: Any) -> str:
    if isinstance(reply, (bytes, bytearray)):
        return to_text(bytes(reply))
    return f"{reply:g}" if isinstance(reply, float) else ""
