"""What an error reply means, what state led to it, and what to do: the answer to `:why`."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from tutor.prompt import to_text

Peek = Callable[[Sequence[bytes], int], Any]

KINDS = {
    "string": "a string",
    "list": "a list",
    "hash": "a hash",
    "set": "a set",
    "zset": "a sorted set",
    "stream": "a stream",
}

TEXTS = {
    "NOAUTH": "This server wants a password first: AUTH password, or AUTH user password.",
    "WRONGPASS": "No user has this name and password, or the user is switched off. Try AUTH again.",
    "NOPERM": "Your user may not do this. ACL WHOAMI says who you are, ACL GETUSER name what that user may do.",
    "READONLY": "This server is a replica, and replicas only read. Write to its master instead.",
    "EXECABORT": "A command between MULTI and EXEC was refused when it was queued, so EXEC ran none of them.",
    "BUSY": "A script runs, and Redis does one thing at a time. SCRIPT KILL stops one that has not written yet.",
    "BUSYKEY": "The target key is there already. REPLACE overwrites it.",
    "LOADING": "The server is still reading its data from the disk. Try again in a moment.",
    "MISCONF": "The last snapshot could not be written, and the server refuses writes it could not save.",
    "NOSCRIPT": "The server does not know a script with this digest. EVAL sends the script itself.",
    "OOM": "The server is at its maxmemory and may not evict anything. Remove keys, or raise maxmemory.",
    "NOPROTO": "HELLO wants 2 or 3.",
}


def explain_error(argv: Sequence[bytes], error: bytes, peek: Peek | None = None) -> str:
    """Return lines that explain an error reply to the command `argv`. Looks at keys with `peek`, if given."""
    from engine.table import COMMANDS

    text = to_text(error)
    code, _, rest = text.partition(" ")
    name = to_text(argv[0]) if argv else ""
    command = COMMANDS.get(name.lower().encode())
    if code == "WRONGTYPE":
        return _wrong_type(argv, peek)
    if code in TEXTS:
        return TEXTS[code]
    if rest.startswith("unknown command"):
        close = difflib.get_close_matches(name.upper(), [each.decode().upper() for each in COMMANDS], 3, 0.6)
        lines = [f"Redis has no command “{name}”."]
        if close:
            lines.append("Did you mean " + " or ".join(close) + "?")
        return "\n".join(lines)
    if rest.startswith(("unknown subcommand", "Unknown subcommand")):
        return f"{name.upper()} has no such subcommand. {name.upper()} HELP lists what it has."
    if "wrong number of arguments" in rest:
        lines = ["Too few arguments, or too many. A word with spaces needs quotes around it."]
        if command is not None:
            if command.subcommands and len(argv) > 1:
                command = command.subcommands.get(argv[1].lower(), command)
            lines.append(f"It is used so:  {command.usage}")
        return "\n".join(lines)
    if "syntax error" in rest:
        lines = [
            "The options do not fit: an unknown word, a value missing behind one, or two that exclude each other."
        ]
        if command is not None:
            lines.append(f"It is used so:  {command.usage}")
        return "\n".join(lines)
    if "not an integer" in rest:
        return _not_an_integer(argv, peek)
    if "not a valid float" in rest:
        return "Redis expected a number here, such as 3 or 2.5."
    if "no such key" in rest:
        return "The key is not there. Perhaps it was removed or has expired, or it is in another database (SELECT)."
    if "DB index is out of range" in rest:
        return "Databases are numbered from 0; CONFIG GET databases says how many there are (16 by default)."
    if "EXEC without MULTI" in rest or "DISCARD without MULTI" in rest:
        return "No transaction is open in this connection. MULTI opens one; the prompt then shows (TX)."
    if "MULTI calls can not be nested" in rest:
        return "A transaction is open already (the prompt shows (TX)). EXEC runs it, DISCARD throws it away."
    if "Can't execute" in rest and "context" in rest:
        return "This connection is subscribed: with RESP2 it may only (un)subscribe, PING and RESET until it is not."
    if "invalid expire time" in rest:
        return "A time to live must be greater than 0."
    if "index out of range" in rest:
        return "The list is shorter than that. LLEN says how long it is; -1 is the last element."
    return "Redis refuses the command as it stands. HELP " + name.upper() + " shows how it is used."


def _wrong_type(argv: Sequence[bytes], peek: Peek | None) -> str:
    from tutor.screens.desk.keyview import keys_of

    name = to_text(argv[0]).upper() if argv else "The command"
    lines = ["A key holds one type of value, and every command works on one type."]
    for key in keys_of(argv):
        kind = to_text(bytes(reply)) if peek and isinstance(reply := peek([b"TYPE", key], 0), bytes) else ""
        if kind in KINDS:
            lines.append(f"{to_text(key)} is {KINDS[kind]}; {name} works on something else.")
    lines.append("TYPE key says what a key holds. DEL key frees the name.")
    return "\n".join(lines)


def _not_an_integer(argv: Sequence[bytes], peek: Peek | None) -> str:
    lines = ["Redis expected a whole number between -2^63 and 2^63-1."]
    if len(argv) > 1 and peek and argv[0].lower() in (b"incr", b"decr", b"incrby", b"decrby"):
        value = peek([b"GET", argv[1]], 0)
        if isinstance(value, bytes):
            lines.append(f'{to_text(argv[1])} holds "{to_text(value[:40])}".')
    return "\n".join(lines)
