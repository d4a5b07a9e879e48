"""Doubting a success: the command ran, and achieved nothing, or not what the task is about.

Every sentence follows from the reply and, where needed, from a look at the server. It is said only about commands
that have to do with the task: a `GET` of an unknown key is no mistake in free exploration.
"""

import re
from collections.abc import Sequence

from engine.protocol.resp import Verbatim
from engine.table.declarations import READONLY, WRITE
from tutor.lesson import typed
from tutor.lesson.checks import Inspection
from tutor.lesson.diagnosis.goal import Goal, keys_of, name_of
from tutor.lesson.diagnosis.model import Diagnosis, code, near_key
from tutor.prompt import to_text

_ZERO = {
    "DEL": "0: no key of this name existed, so nothing was deleted",
    "UNLINK": "0: no key of this name existed, so nothing was deleted",
    "EXPIRE": "0: no time to live was set, because the key does not exist or a condition such as `NX` was not met",
    "PEXPIRE": "0: no time to live was set, because the key does not exist or a condition such as `NX` was not met",
    "EXPIREAT": "0: no time to live was set, because the key does not exist or a condition such as `NX` was not met",
    "PEXPIREAT": "0: no time to live was set, because the key does not exist or a condition such as `NX` was not met",
    "PERSIST": "0: the key does not exist, or it had no time to live",
    "SREM": "0: the set does not contain this member, so nothing was removed",
    "ZREM": "0: the sorted set does not contain this member, so nothing was removed",
    "HDEL": "0: the hash does not have this field, so nothing was removed",
    "LREM": "0: the list does not contain this element, so nothing was removed",
    "XDEL": "0: the stream does not contain this ID, so nothing was removed",
    "XACK": "0: nothing with this ID was pending for the group",
    "PUBLISH": "0: no client was subscribed to this channel, so no client received the message",
    "SPUBLISH": "0: no client was subscribed to this channel, so no client received the message",
    "SETNX": "0: the key already exists, so nothing was stored",
    "HSETNX": "0: the field already exists, so nothing was stored",
    "MSETNX": "0: one of the keys already exists, so none was stored",
    "RENAMENX": "0: the new name already exists, so nothing was renamed",
    "COPY": "0: nothing was copied: the source does not exist, or the destination does",
    "MOVE": "0: nothing was moved: the key does not exist here, or it exists in the other database",
    "SMOVE": "0: the first set does not contain this member, so nothing was moved",
    "SADD": "0: the set already contained this",
    "PFADD": "0: the estimate did not change, probably because this was counted before",
    "ZADD": "0: no member was added; at most, a score was changed",
    "HSET": "0: no field was added; at most, a value was replaced",
    "LINSERT": "0: the list does not exist",
    "LPUSHX": "0: the list does not exist, so nothing was added",
    "RPUSHX": "0: the list does not exist, so nothing was added",
    "ZREMRANGEBYSCORE": "0: no member has a score in this range, so nothing was removed",
    "ZREMRANGEBYRANK": "0: no member has a rank in this range, so nothing was removed",
    "XTRIM": "0: no entry was removed",
    "ACL DELUSER": "0: no user has this name",
    "CLIENT KILL": "0: no connection matched",
    "EXISTS": "0: the key does not exist",
    "STRLEN": "0: the key does not exist, or its value is empty",
    "LLEN": "0: the list does not exist",
    "SCARD": "0: the set does not exist",
    "HLEN": "0: the hash does not exist",
    "ZCARD": "0: the sorted set does not exist",
    "BITCOUNT": "0: no bit is set, or the key does not exist",
    "SINTERSTORE": "0: the result is empty, so nothing was stored",
    "SUNIONSTORE": "0: the result is empty, so nothing was stored",
    "SDIFFSTORE": "0: the result is empty, so nothing was stored",
    "ZUNIONSTORE": "0: the result is empty, so nothing was stored",
    "ZINTERSTORE": "0: the result is empty, so nothing was stored",
    "ZRANGESTORE": "0: the result is empty, so nothing was stored",
    "LINSERT_PIVOT": "-1: the list does not contain the element to insert at",
    "PUBSUB NUMPAT": "0: no client is subscribed to a pattern",
}  # fmt: skip
_NIL = {
    "EXEC": "(nil): a watched key was changed, so the transaction did not run",
    "SET": "(nil): nothing was stored, because the condition (`NX` or `XX`) was not met",
    "GETDEL": "(nil): the key does not exist, so nothing was deleted",
    "GETEX": "(nil): the key does not exist, so no time to live was set",
    "LPOP": "(nil): the list is empty, or does not exist",
    "RPOP": "(nil): the list is empty, or does not exist",
    "LMOVE": "(nil): the source list is empty, or does not exist",
    "RPOPLPUSH": "(nil): the source list is empty, or does not exist",
    "SPOP": "(nil): the set is empty, or does not exist",
    "BLPOP": "(nil): the timeout passed before an element arrived",
    "BRPOP": "(nil): the timeout passed before an element arrived",
    "XREAD": "(nil): there is no entry after this ID",
    "XREADGROUP": "(nil): there is no entry that the group has not delivered yet",
    "HGET": "(nil): the hash does not have this field, or does not exist",
    "GET": "(nil): the key does not exist",
    "ZSCORE": "(nil): the sorted set does not contain this member, or does not exist",
    "ZRANK": "(nil): the sorted set does not contain this member, or does not exist",
    "LINDEX": "(nil): the list does not have an element at this index",
    "ZADD": "(nil): the condition of the options was not met, so nothing was changed",
}  # fmt: skip
_EMPTY = {
    "EXEC": "(empty array): the transaction was empty. `EXEC` runs "
"only what was queued after `MULTI` in the same terminal",
    "KEYS": "(empty array): no key's name matches this pattern in this database",
    "SMEMBERS": "(empty array): the set does not exist",
    "LRANGE": "(empty array): the list does not exist, or has nothing in this range",
    "ZRANGE": "(empty array): the sorted set does not exist, or has nothing in this range",
    "HGETALL": "(empty array): the hash does not exist",
    "XRANGE": "(empty array): the stream does not exist, or has nothing in this range",
    "XREVRANGE": "(empty array): the range is empty; `XREVRANGE` takes the end first, then the start",
    "CONFIG GET": "(empty array): no setting has this name",
    "SDIFF": "(empty array): nothing is left",
    "SINTER": "(empty array): the sets have nothing in common",
    "ZRANGEBYSCORE": "(empty array): no member has a score in this range",
    "ZREVRANGEBYSCORE": "(empty array): no member has a score in this "
"range; this command takes the higher bound first",
    "GEOSEARCH": "(empty array): nothing is within this distance",
}  # fmt: skip


def doubt(goal: Goal, words: Sequence[str], printed: str, db: int, inspect: Inspection) -> Diagnosis | None:
    """Return what a command did not achieve, when its reply shows it; None otherwise."""
    text = printed.strip()
    name = name_of(words)
    about = _concerns(goal, words, name)
    if already := _already(name, words, text):
        return Diagnosis("outcome", already[0], already[1], about)
    if script := _script(words, text):
        return Diagnosis("outcome", "script", script, about)
    line: str | None = None
    if text in ("(integer) 0", "(integer) -1"):
        line = _ZERO.get(name)
        if name == "LINSERT" and text.endswith("-1"):
            line = _ZERO["LINSERT_PIVOT"]
        elif text.endswith("-1"):
            line = None
    elif text == "(nil)":
        line = _NIL.get(name)
        if name == "SET" and "GET" in {word.upper() for word in words[3:]}:  # the old value, of which there was none
            line = None
    elif text in ("(empty array)", "(empty list or set)", "(empty hash)", "(empty set)"):
        line = _EMPTY.get(name)
    if line is None:
        return None
    if name in ("DEL", "UNLINK", "EXISTS", "GET") and any("*" in key for key in words[1:]):
        line = f"{text.removeprefix('(integer) ')}: {code(words[0].upper())} takes names, not patterns"
        return Diagnosis("outcome", "pattern", f"The reply is {line}.", about)
    if name in ("DEL", "UNLINK") and _of_others(goal, words, name):
        about = False  # to begin with an empty place
    if name in ("SADD", "ZADD", "HSET", "PFADD") and any(tuple(words[1:]) == each.words[1:] for each in goal.lines):
        about = False  # it was there already, as the task wants it
    line += _near_key(words, db, inspect)
    return Diagnosis("outcome", "result", f"The reply is {line}.", about)


def _of_others(goal: Goal, words: Sequence[str], name: str) -> bool:
    """Return whether the keys of a command are the task's, but in lines with another command."""
    own = {key for each in goal.lines if each.name == name for key in keys_of(each.words)}
    keys = set(keys_of(words))
    return bool(own) and bool(keys & set(goal.keys)) and not keys & own


def _concerns(goal: Goal, words: Sequence[str], name: str) -> bool:
    """Return whether a command has to do with the task: the same command, or one that changes a key of it."""
    if name in goal.names:
        return True
    flags, _ = typed.reach([each.encode("utf-8", "surrogateescape") for each in words])
    if name in ("DEL", "UNLINK"):  # perhaps only to begin with an empty place
        return False
    return bool(flags & WRITE) and bool(set(keys_of(words)) & set(goal.keys))


def _near_key(words: Sequence[str], db: int, inspect: Inspection) -> str:
    """Return a hint at a key that is almost the one that was typed, or at its database."""
    for key in keys_of(words)[:3]:
        reply = inspect([b"EXISTS", key.encode("utf-8", "surrogateescape")], db)
        if reply != 0:
            continue
        for other in _databases(inspect):
            if other != db and inspect([b"EXISTS", key.encode("utf-8", "surrogateescape")], other) == 1:
                return f". {code(key)} is in database {other}, and you are in database {db}"
        if near := near_key(key, inspect, db):
            return f". There is a key {code(near)}"
    return ""


def _databases(inspect: Inspection) -> list[int]:
    """Return the databases that have keys."""
    told = inspect([b"INFO", b"keyspace"], 0)
    text = told.text if isinstance(told, Verbatim) else told if isinstance(told, bytes) else b""
    return [int(number) for number in re.findall(rb"^db(\d+):", text, re.M)]


def _already(name: str, words: Sequence[str], text: str) -> tuple[str, str] | None:
    if text.startswith("OK Already connected"):
        return (
            "result",
            "`OK Already connected` means that nothing changed: this server already replicates that master.",
        )
    if name == "CONFIG SET" and len(words) > 3 and text == "OK":
        return None
    if name == "SUBSCRIBE" and re.search(r"\(integer\) 0$", text):
        return "result", "The reply shows no subscription."
    return None


def _script(words: Sequence[str], text: str) -> str:
    """Return what to say about a script that counts from 0."""
    if words[0].upper() not in ("EVAL", "EVAL_RO") or len(words) < 2:
        return ""
    if re.search(r"\b(KEYS|ARGV)\s*\[\s*0\s*\]", words[1]):
        return "Lua counts from 1: `KEYS[0]` and `ARGV[0]` do not exist."
    return ""


def only_read(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a command that only reads a key that the task wants changed."""
    flags, keys = typed.reach([each.encode("utf-8", "surrogateescape") for each in words])
    if not flags & READONLY or not keys or not _writes(goal):
        return None
    if not {to_text(key) for key in keys} & set(goal.keys):
        return None
    return Diagnosis(
        "outcome", "command", f"{code(words[0].upper())} only reads; the task asks for a change.", near=False
    )


def _writes(goal: Goal) -> bool:
    return all(
        typed.reach([each.encode("utf-8", "surrogateescape") for each in wanted.words])[0] & WRITE
        for wanted in goal.lines
        if not wanted.shell
    ) and bool(goal.lines)
