"""Errors in RDB data."""


class CorruptRdbError(Exception):
    """The data is invalid. `offset` is relative to the start of the input."""

    def __init__(self, reason: str, offset: int = -1) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason if self.offset < 0 else f"{self.reason} (at offset {self.offset})"


class TruncatedRdbError(CorruptRdbError):
    """The data ends too early: an error in a complete payload; in a stream more data must arrive."""


class RefusedFileError(CorruptRdbError):
    """The file is not an RDB file, or has an unknown version; this has been logged."""


class FatalRdbError(RefusedFileError):
    """The file needs features that this server lacks, and the server exits; this has been logged."""
