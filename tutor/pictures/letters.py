"""Short names for replication IDs.

An ID gets its letter from the event or message that first has it, so that the letters of a history are the same
wherever it is shown. The ID that a process begins with is in none of them until it matters, and has no letter.
"""

import re

_ID = re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{4,39}…")
LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


class Letters:
    """Names for replication IDs: α, β, … in the order in which they were first seen."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.known: dict[str, str] = dict(known or {})

    def of(self, replid: str) -> str:
        """Return the letter and the first digits of an ID that an event or a message has; it gets a letter."""
        if not replid:
            return ""
        return f"{self.letter(replid)} {replid[:4]}…"

    def shown(self, replid: str) -> str:
        """Return an ID as it is shown for a node: with its letter, if it has one."""
        letter = self.known.get(replid)
        return f"{letter} {replid[:4]}…" if letter else f"{replid[:4]}…" if replid else ""

    def letter(self, replid: str) -> str:
        """Return the letter of an ID."""
        number = len(self.known)
        name = LETTERS[number % len(LETTERS)] + (str(number // len(LETTERS) + 1) if number >= len(LETTERS) else "")
        return self.known.setdefault(replid, name)

    def in_text(self, text: str) -> str:
        """Return a text with its replication IDs shortened."""
        return _ID.sub(self._short, text)

    def _short(self, match: re.Match[str]) -> str:
        digits = match[0].rstrip("…")
        whole = digits if len(digits) == 40 else next((each for each in self.known if each.startswith(digits)), "")
        return self.of(whole) or match[0]
