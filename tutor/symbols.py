"""Symbols for terminals that show ASCII only, or draw `●◐▸█` two columns wide.

Each symbol is replaced by one ASCII character, so that the layout of a screen or picture stays as it is. The full
screen replaces them as it draws (`tutor.widgets.ascii`), the commands that print text as they write. Other
characters, of the learner's data, stay as they are if the terminal can show them.

You choose ASCII by `--ascii`, by `REDIS_TUTOR_ASCII=1` (0: never), or in the settings. Without a choice, the locale
and the kind of terminal decide.
"""

import codecs
import os
import sys
import unicodedata
from collections.abc import Mapping

VARIABLE = "REDIS_TUTOR_ASCII"
CONSOLES = ("linux", "vt100", "vt102", "vt220", "ansi", "dumb")  # kinds of terminals whose fonts lack the symbols
HANDLER = "redis-tutor"  # the name of the error handler

_PAIRS = {
    "-": "─━┄┅┈┉╌╍╴╶╸╺╼╾–—−▔·□",
    "=": "═‖",
    "|": "│┃┆┇┊┋╎╏╵╷╹╻║▌▐▍▎▏▊▋▕",
    "+": "┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋╔╗╚╝╠╣╦╩╬╭╮╰╯✓⇧",
    "#": "█▇■▓▉",
    "*": "●•▆◆★",
    "%": "▒▅½",
    ":": "░▃",
    "&": "⚑✎",
    "o": "○◇◦",
    "@": "◐◉◷⧗",
    "x": "×✗✂✕",
    ">": "→▸▶▷›»≥⇥↳↻⟳",
    "<": "←◂◀◁‹«≤⏎↵⟲",
    "^": "↑▲△⌃⇞",
    "v": "↓▼▽⇟√",
    "_": "▁",
    ".": "…▂",
    "~": "≈▄",
    "!": "≠",
    "u": "µ",
    '"': "“”„‟″",
    "'": "‘’‚‛′",
    " ": "\u00a0\u2009\u202f",
    "?": "␡␛",
}
TABLE: dict[int, str] = {ord(symbol): ascii for ascii, symbols in _PAIRS.items() for symbol in symbols}
TABLE |= {ord(letter): chr(ord("a") + at) for at, letter in enumerate("αβγδεζηθικλμνξοπρστυφχψω")}
TABLE |= {ord(digit): str(at) for at, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}


class _StrictlyAscii(dict[int, str]):
    """The table, and for any other character an ASCII one or `?`, of the same width."""

    def __missing__(self, code: int) -> str:
        self[code] = found = chr(code) if code < 128 else _nearest(chr(code))
        return found


def _nearest(character: str) -> str:
    width = 0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain if plain and len(plain) == width else "?" * width


STRICT = _StrictlyAscii(TABLE)


def ascii_only(choice: str = "", environment: Mapping[str, str] | None = None) -> bool:
    """Return whether to draw with ASCII; `choice` is that of the settings: ascii, unicode, or "" for automatic."""
    known = os.environ if environment is None else environment
    if known.get(VARIABLE):
        return known[VARIABLE] != "0"
    if choice:
        return choice == "ascii"
    return not shows_unicode(known) or known.get("TERM") in CONSOLES


def shows_unicode(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the output's encoding is a Unicode one."""
    known = os.environ if environment is None else environment
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        if not codecs.lookup(encoding).name.startswith("utf"):
            return False
    except LookupError:
        return False
    # Python replaces the C locale by C.UTF-8, since many systems set none. A locale that is set means what it says.
    coerced = bool(sys.flags.utf8_mode) and known.get("LC_CTYPE") == "C.UTF-8"
    names = ("LC_ALL", "LANG") if coerced else ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((value for name in names if (value := known.get(name))), "")
    charset = locale.partition(".")[2].partition("@")[0].lower()
    return locale not in ("C", "POSIX") and (not charset or charset.startswith("utf"))


def in_ascii(text: str, strict: bool = False) -> str:
    """Return text with ASCII characters in place of symbols; with `strict`, of all others too."""
    return text if text.isascii() else text.translate(STRICT if strict else TABLE)


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace what an encoding lacks; bytes of file names stay what they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):
        return bytes(ord(character) - 0xDC00 for character in text), error.end
    if "\udc80" <= text[0] <= "\udcff":
        return bytes((ord(text[0]) - 0xDC00,)), error.start + 1
    return in_ascii(text[0], strict=True), error.start + 1


codecs.register_error(HANDLER, _encoded)
