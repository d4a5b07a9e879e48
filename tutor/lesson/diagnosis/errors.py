"""What an error reply means, what state led to it, and what to do: for `:why`, and for hints in a sentence."""

from collections.abc import Sequence

from engine.protocol.errors import ReplyError
from tutor.lesson import typed
from tutor.lesson.checks import Inspection
from tutor.lesson.diagnosis import commands, pages, syntax
from tutor.lesson.diagnosis.model import code, near_key, nearest
from tutor.prompt import CommandDocs, to_text
from tutor.prompt.words import printable, shorten

KINDS = {
    "string": "a string",
    "list": "a list",
    "hash": "a hash",
    "set": "a set",
    "zset": "a sorted set",
    "stream": "a stream",
}
LONGEST = 2000  # characters of an error that are looked at
_SCRIPTS = frozenset(("EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"))
_OF_A_SCRIPT = ("The script itself returned this error: {error}.", "Look for `redis.error_reply` in its code.")
_UNKNOWN = ("`{name}` was refused: {error}.", "`HELP {name}` shows how it is used.")


def explain_error(argv: Sequence[bytes], error: bytes, inspect: Inspection | None = None, db: int = 0) -> str:
    """Return the lines of an error's page: cause, state, remedy. Looks at keys of `db` with `inspect`, if given."""
    text = to_text(error[:LONGEST])
    cause, remedy = _filled(argv, text)
    rows = [cause, *_state(argv, text, inspect, db), remedy]
    wrong = syntax.walk([to_text(each) for each in argv]) if argv else None
    if wrong is not None and text.startswith("ERR value is not an integer"):
        rows = [cause, wrong.text]  # the line is at fault, and not the value
    elif wrong is not None and text == "ERR syntax error" and wrong.slot == "surplus":
        rows = [wrong.text]
    if text.startswith(("ERR wrong number", "ERR syntax")):
        known = CommandDocs.load().find(list(argv))
        if known is not None and known[0].arguments:
            rows.append(f"Syntax:  {known[0].name} {known[0].syntax}")
    return "\n".join(row for row in rows if row)


def short_explanation(argv: Sequence[bytes], text: str, inspect: Inspection | None = None, db: int = 0) -> str:
    """Return a sentence for a hint: what the printed error reply `text` means; nothing if it is not an error."""
    error = text.strip().removeprefix("(error) ")[:LONGEST]
    if not error or error == text.strip():
        return ""
    cause, _ = _filled(argv, error)
    state = _state(argv, error, inspect, db)
    return " ".join([cause, *state[:1]])


def _filled(argv: Sequence[bytes], error: str) -> tuple[str, str]:
    name = printable(shorten(to_text(argv[0]))).upper() if argv else "The command"
    if argv and error.startswith("ERR unknown command"):
        name = printable(shorten(to_text(argv[0]))).replace("`", "'")
    key = next(iter(_keys(argv)), "key")
    found = pages.find(error)
    if found is None:
        what = shorten(error.partition(" ")[2] or error, 200).rstrip(". ")
        cause, remedy = _OF_A_SCRIPT if name in _SCRIPTS else _UNKNOWN
        return cause.replace("{name}", name).replace("{error}", what), remedy.replace("{name}", name)
    page, match = found
    groups = [printable(shorten(each or "", 80)).replace("`", "'") for each in match.groups()]

    def fill(row: str) -> str:
        row = row.replace("{{", "\0").replace("}}", "\1")
        for place, value in enumerate(groups, 1):
            row = row.replace(f"{{{place}}}", value)
        row = row.replace("{name}", name).replace("{key}", printable(shorten(key)).replace("`", "'"))
        return row.replace("\0", "{").replace("\1", "}")

    if error.startswith("ERR unknown command") and argv:
        text = commands.unknown([to_text(each) for each in argv]).text
        return text, fill(page.remedy) if text.startswith("Redis has no command") else ""
    return fill(page.cause), fill(page.remedy)


def _keys(argv: Sequence[bytes]) -> list[str]:
    try:
        return [to_text(key) for key in typed.reach(argv)[1]]
    except (ValueError, IndexError):
        return []


def _state(argv: Sequence[bytes], error: str, inspect: Inspection | None, db: int) -> list[str]:
    """Return what the server's state shows about an error."""
    if inspect is None or not argv:
        return []
    keys = _keys(argv)[:3]
    if error.startswith("WRONGTYPE"):
        return [row for key in keys if (row := _type(key, inspect, db))]
    if "not an integer" in error and keys:
        return _value(keys[0], inspect, db)
    if ("no such key" in error or "does not exist" in error) and keys:
        near = near_key(keys[0], inspect, db)
        return [f"There is a key {code(near)}."] if near else []
    if "index out of range" in error and keys:
        length = inspect([b"LLEN", keys[0].encode("utf-8", "surrogateescape")], db)
        return [f"{code(keys[0])} has {length} elements."] if isinstance(length, int) else []
    if "CONFIG SET - '" in error:
        return _setting(error.split("CONFIG SET - '")[1].rstrip("'"))
    if error.startswith("ERR DB index") and not isinstance(
        told := inspect([b"CONFIG", b"GET", b"databases"], 0), ReplyError
    ):
        return [f"There are {to_text(bytes(told[1]))}."] if isinstance(told, list) and len(told) == 2 else []
    if error.startswith("READONLY"):
        role = inspect([b"ROLE"], 0)
        if isinstance(role, list) and len(role) > 2 and bytes(role[0]) == b"slave":
            return [f"Its master is {to_text(bytes(role[1]))}, port {role[2]}."]
    return []


def _type(key: str, inspect: Inspection, db: int) -> str:
    reply = inspect([b"TYPE", key.encode("utf-8", "surrogateescape")], db)
    kind = to_text(bytes(reply)) if isinstance(reply, bytes) else str(reply)
    return f"{code(key)} holds {KINDS[kind]}." if kind in KINDS else ""


def _value(key: str, inspect: Inspection, db: int) -> list[str]:
    value = inspect([b"GET", key.encode("utf-8", "surrogateescape")], db)
    return [f'{code(key)} holds "{to_text(value[:40])}".'] if isinstance(value, bytes) else []


def _setting(name: str) -> list[str]:
    from engine.config import Config

    known = [each.decode() for each in Config.NAMES]
    near = (
        next((each for each in known if each.replace("-", "") == name.replace("-", "").replace("_", "")), "")
        or next((each for each in sorted(known) if len(name) > 4 and each.startswith(f"{name}-")), "")
        or nearest(name, known)
    )
    return [f"Did you mean {code(near)}?"] if near and near != name else []
