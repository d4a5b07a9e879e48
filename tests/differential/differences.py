"""What other versions than 7.2 answer otherwise, each with its reason; `differences.md` says it in prose.

Two kinds: commands and words that a version does not know, or knows more of (those sequences are not asked of it),
and replies whose text changed (those are brought to 7.2's form before they are compared).
"""

import re
from collections.abc import Callable
from typing import Any

from tests.differential.commands import tells_other_keys
from tests.real import Program

Argv = list[bytes]
Rule = tuple[Callable[[Program], bool], Callable[[Argv], bool], str]


def _before_72(program: Program) -> bool:
    return program.kind == "redis" and program.version < (7, 2)


def _valkey(program: Program) -> bool:
    return program.kind == "valkey"


def _other(program: Program) -> bool:
    return program.kind == "valkey" or program.version[:2] != (7, 2)


def _named(*names: bytes) -> Callable[[Argv], bool]:
    return lambda argv: argv[0].upper() in names


def _sub(container: bytes, *names: bytes) -> Callable[[Argv], bool]:
    return lambda argv: argv[0].upper() == container and len(argv) > 1 and argv[1].upper() in names


def _has(*words: bytes) -> Callable[[Argv], bool]:
    return lambda argv: any(arg.upper() in words for arg in argv)


def _endless(argv: Argv) -> bool:
    return b"inf" in argv or b"1e30" in argv


def _of_unknown_type(argv: Argv) -> bool:
    kinds = [argv[i + 1].lower() for i, arg in enumerate(argv[:-1]) if arg.upper() == b"TYPE"]
    return argv[0].upper() == b"SCAN" and any(kind not in _TYPES for kind in kinds)


_TYPES = {b"string", b"list", b"set", b"zset", b"hash", b"stream"}


def _set_to_end_at(argv: Argv) -> bool:
    return argv[0].upper() == b"SET" and any(arg.upper() in (b"EXAT", b"PXAT") for arg in argv[3:])


def _waits_for_several(argv: Argv) -> bool:
    name = argv[0].upper()
    if name in (b"BLMPOP", b"BZMPOP"):
        return argv[2:3] != [b"1"]
    return name in (b"BLPOP", b"BRPOP", b"BZPOPMIN", b"BZPOPMAX") and len(argv) != 3


def _blocks_in_script(argv: Argv) -> bool:
    return any(b"BLPOP" in arg for arg in argv[1:])


NOT_ASKED: list[Rule] = [
    (_before_72, _named(b"WAITAOF"), "new in 7.2"),
    (_before_72, _sub(b"CLIENT", b"NO-TOUCH", b"SETINFO"), "new in 7.2"),
    (
        _before_72,
        lambda argv: argv[0].upper() in (b"ZRANK", b"ZREVRANK") and len(argv) != 3,
        "WITHSCORE is new in 7.2",
    ),
    (_before_72, _named(b"GEODIST"), "up to 7.0 the text of a distance or score has up to 17 digits"),
    (_before_72, _has(b"WITHDIST", b"WITHCOORD"), "as for GEODIST"),
    (_before_72, _named(b"GEOPOS"), "as for GEODIST"),
    (_before_72, _sub(b"CLUSTER", b"MYSHARDID"), "new in 7.2"),
    (_before_72, _sub(b"ACL", b"LIST"), "tells rules that change nothing in another form"),
    (_before_72, lambda argv: _sub(b"CLIENT", b"SETNAME")(argv) and b"\0" in argv[-1], "looks beyond a NUL"),
    (_before_72, _waits_for_several, "is served without a look at the other keys"),
    (_before_72, _blocks_in_script, "scripts may not run commands that block; from 7.2 on these do not wait there"),
    (_other, _sub(b"COMMAND", b"LIST", b"COUNT", b"INFO", b"DOCS"), "each version has commands of its own"),
    (_other, _sub(b"OBJECT", b"ENCODING"), "each version has encodings of its own"),
    (_valkey, lambda argv: argv[0].upper() in (b"XREAD", b"XREADGROUP") and b"+" in argv, "reads the last entry"),
    (
        _before_72,
        lambda argv: argv[0][:1] in b"xX" and _has(b"BLOCK")(argv),
        "is served in another form",
    ),
    (_before_72, _named(b"XINFO"), "tells less of consumers"),
    (_valkey, lambda argv: any(arg.startswith(b"#!nosuch") for arg in argv), "looks for an engine at another moment"),
    (_valkey, _sub(b"CLIENT", b"INFO"), "counts MULTI and WATCH otherwise"),
    (_valkey, _sub(b"CLIENT", b"LIST", b"KILL"), "has more filters, and says otherwise what is wrong with them"),
    (_valkey, _named(b"READONLY", b"READWRITE"), "are taken without cluster mode too"),
    (_valkey, _set_to_end_at, "a key whose end has passed is not set at all; up to 7.2 it is found dead later"),
    (_other, _sub(b"CONFIG", b"GET"), "each version has directives of its own"),
    (_other, lambda argv: argv[1:] and argv[1].upper() == b"HELP", "the texts of HELP change with each version"),
    (
        _before_72,
        lambda argv: argv[0][:1] in b"bB" and _endless(argv),
        "7.0 takes a timeout out of range for a negative",
    ),
    (_valkey, _of_unknown_type, "refuses SCAN with a TYPE that does not exist"),
    (_before_72, _sub(b"ACL", b"GETUSER", b"DRYRUN"), "texts changed; sanitize-payload is shown from 7.2 on"),
]

_TEXTS: list[tuple[Callable[[Program], bool], bytes, bytes]] = [
    (_before_72, b"Unbalanced 'xread' list", b"Unbalanced XREAD list"),
    (
        _before_72,
        b"Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>'",
        b"Unbalanced XREAD list of streams: for each stream key an ID or '$'",
    ),
    (_valkey, b"No matching script. Please use EVAL.", b"No matching script."),
    (_valkey, b"Lua redis lib command arguments must", b"Command arguments must"),
    (_valkey, b"calling Redis command from script", b"calling command from script"),
    (_valkey, b"Unknown Redis command called", b"Unknown command called"),
    (_valkey, b"Error registering functions: ERR Library names", b"Function names"),
]
"""Errors that were put otherwise: 7.2's words, and theirs."""

_E17 = re.compile(rb"^[,$]-?\d+\.\d{15,}(e[-+]\d+)?$")


def asked(program: Program, argv: Argv) -> bool:
    """Return whether a command is the same in this version."""
    if argv[0].upper() == b"COMMAND" and b"|".join(argv[1:2]).upper() in (b"GETKEYS", b"GETKEYSANDFLAGS"):
        return not tells_other_keys(program, argv)
    return not any(applies(program) and matches(argv) for applies, matches, _ in NOT_ASKED)


def in_transactions(program: Program, steps: list[tuple[int, Argv]]) -> list[tuple[int, Argv]]:
    """Return the steps without what a version takes otherwise inside MULTI.

    There Valkey refuses MULTI and WATCH such that the transaction fails; and up to 7.0 a message that a client's own
    transaction publishes to it stands in the middle of the reply. In all versions a password that is wrong gets no
    reply at all where others wait to be sent, nor do CLIENT REPLY and what follows a client's own CLIENT KILL: the
    array of EXEC would stay incomplete.
    """
    left_out = (
        {b"MULTI", b"WATCH"} if _valkey(program) else {b"PUBLISH", b"SPUBLISH"} if _before_72(program) else set()
    )
    kept = []
    opened: set[int] = set()
    for link, argv in steps:
        name = argv[0].upper()
        unanswered = (
            name == b"AUTH" or (name == b"HELLO" and _has(b"AUTH")(argv)) or _sub(b"CLIENT", b"REPLY", b"KILL")(argv)
        )
        if link in opened and (name in left_out or unanswered):
            continue
        if name == b"MULTI" and len(argv) == 1:
            opened.add(link)
        elif name in (b"EXEC", b"DISCARD", b"RESET"):
            opened.discard(link)
        kept.append((link, argv))
    return kept


def alike(program: Program, argv: Argv, ours: Any, theirs: Any) -> bool:
    """Return whether two unequal replies differ by nothing but the version."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(
            mine == other or alike(program, argv, mine, other) for mine, other in zip(ours, theirs)
        )
    if (
        argv[0].upper() in (b"BITPOS", b"BITCOUNT")
        and _other(program)
        and theirs[:1] == b"-"
        and (ours in (b":0", b":-1") or ours[:10] == b"-WRONGTYPE")
    ):
        return True  # 7.2 looks at the key first, Valkey 8 at the other arguments
    if argv[0][:2].upper() == b"PF" and _other(program) and theirs[:12] == b"-INVALIDOBJ ":
        return True  # registers beyond the last are damage since the fixes of 2025, also in what distributions ship
    if _before_72(program) and isinstance(ours, str):  # the line of a user, in a bag
        return re.sub(" (skip-)?sanitize-payload", "", ours) == re.sub(" (skip-)?sanitize-payload", "", theirs)
    if not isinstance(ours, bytes) or not isinstance(theirs, bytes):
        return False
    for applies, text, said in _TEXTS:
        if applies(program) and text in ours:
            return ours.replace(text, said) == theirs
    if _before_72(program) and _E17.match(theirs) and ours[:1] == theirs[:1]:
        # Up to 7.0 a double is printed with 17 digits, from 7.2 on with the fewest that read back the same.
        return float(ours[1:]) == float(theirs[1:])
    return False


def digest_has_scores_in_full(program: Program) -> bool:
    """Return whether DEBUG DIGEST is made from scores with 17 digits, as it was before 7.2."""
    return _before_72(program)
