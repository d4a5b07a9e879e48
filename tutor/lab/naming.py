"""Names of machines: those of new ones, and one that is not known: a line that says so, with the nearest that is."""

from collections.abc import Iterable

from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten

NAMES_SHOWN = 8
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def node_names(count: int) -> list[str]:
    """Return the names of so many nodes: A to Z, then N27 and so on."""
    return [LETTERS[at] if at < len(LETTERS) else f"N{at + 1}" for at in range(count)]


def unknown(kind: str, name: str, among: Iterable[str]) -> str:
    """Return what to say when there is no node (client, scenario …) of a name."""
    known = list(among)
    told = f"there is no {kind} {shorten(name)}"
    same = [each for each in known if each.casefold() == name.casefold()]
    near = same[0] if same else nearest(name, (each for each in known if len(each) > 2)) if len(name) > 1 else ""
    if near:
        return f"{told}: did you mean {near}?"
    if not known:
        return told
    more = ", …" if len(known) > NAMES_SHOWN else ""
    return f"{told}: there {'is' if len(known) == 1 else 'are'} {', '.join(known[:NAMES_SHOWN])}{more}"
