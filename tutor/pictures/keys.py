"""The picture of a key, whatever its type."""

from collections.abc import Callable

from tutor.pictures.canvas import line
from tutor.pictures.hashes import draw_hash
from tutor.pictures.hyperloglogs import draw_hll
from tutor.pictures.lists import draw_list
from tutor.pictures.picture import Picture, gone_lines, key_heading, made, told
from tutor.pictures.readings import Argv, Key, SortedSetExcerpt, StringExcerpt
from tutor.pictures.sets import draw_set
from tutor.pictures.sorted_sets import draw_places, draw_sorted_set
from tutor.pictures.streams import draw_stream
from tutor.pictures.strings import BIT_COMMANDS, draw_bits, draw_string

Drawn = Callable[[Key | None, Key, int, Argv], Picture]
BY_TYPE: dict[str, Drawn] = {
    "list": draw_list,
    "hash": draw_hash,
    "set": draw_set,
    "zset": draw_sorted_set,
    "stream": draw_stream,
}


def draw_key(before: Key | None, key: Key, width: int, cause: Argv = ()) -> Picture:
    """Draw a key as it is now, and what changed since `before` (None: nothing to compare with).

    `cause` is the command that did it. It decides how a string is drawn, as text, bits or a HyperLogLog, and a sorted
    set, as a ranking or a map.
    """
    if not key.exists:
        return made(gone_lines(before, key, cause, width), width, told(before, key, "", cause))
    word = cause[0].lower() if cause else b""
    if isinstance(key.value, StringExcerpt):
        if key.value.hll and not word.startswith((b"get", b"set", b"strlen")):
            return draw_hll(before, key, width, cause)
        return (draw_bits if word in BIT_COMMANDS else draw_string)(before, key, width, cause)
    if isinstance(key.value, SortedSetExcerpt) and key.value.positions:
        return draw_places(before, key, width, cause)
    if key.kind in BY_TYPE:
        return BY_TYPE[key.kind](before, key, width, cause)
    return made([key_heading(before, key, cause, width, key.kind), line(("  a type of a module", "dim"))], width)
