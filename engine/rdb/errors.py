"""What may be wrong with RDB bytes."""


class CorruptRdbError(Exception):
    """The bytes are not what they should be. `offset` counts from the start of what was read."""

    def __init__(self, reason: str, offset: int = -1) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason if self.offset < 0 else f"{self.reason} (at offset {self.offset})"


class TruncatedRdbError(CorruptRdbError):
    """The bytes end too early: an error in a complete payload, a reason to wait in a stream."""
