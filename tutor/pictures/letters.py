"""Short names for replication IDs."""

LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


class Letters:
    """Names for replication IDs: α, β, … in the order in which they were first seen."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def of(self, replid: str) -> str:
        """Return the letter and the first digits of an ID."""
        if not replid:
            return ""
        return f"{self.letter(replid)} {replid[:4]}…"

    def letter(self, replid: str) -> str:
        """Return the letter of an ID."""
        number = len(self.known)
        name = LETTERS[number % len(LETTERS)] + (str(number // len(LETTERS) + 1) if number >= len(LETTERS) else "")
        return self.known.setdefault(replid, name)
