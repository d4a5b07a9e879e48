"""The manifest: the list of files of an append-only file, in loading order.

    file appendonly.aof.2.base.rdb seq 2 type b      base: the data set as of the last rewrite (at most one)
    file appendonly.aof.1.incr.aof seq 1 type h      history: replaced by that rewrite, to be deleted
    file appendonly.aof.2.incr.aof seq 2 type i      increments: all writes since; the last one is appended to

A manifest is an immutable value. Every change of the set of files creates a new one, which takes effect when it
is renamed into place: after a crash, the disk contains either the old set of files or the new one.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from typing import NamedTuple

from engine.protocol.quoting import quote
from engine.protocol.resp import split_args

BASE, HISTORY, INCREMENT = "b", "h", "i"
MANIFEST_SUFFIX = ".manifest"
TEMPORARY_PREFIX = "temp-"
LINE_MAX = 1024


class ManifestError(Exception):
    """A manifest cannot be parsed. `number` and `line` identify the line; `line` is None if no line is at fault."""

    def __init__(self, reason: str, number: int = 0, line: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.number = number
        self.line = line


class AofFile(NamedTuple):
    """One file of an append-only file. `kind` is "b", "h" or "i"."""

    name: str
    seq: int
    kind: str

    def encode(self) -> bytes:
        """Return the file's line."""
        name = self.name.encode(errors="surrogateescape")
        if any(not 32 < byte < 127 or byte in b"\\\"'" for byte in name):
            name = quote(name)
        return b"file %b seq %d type %b\n" % (name, self.seq, self.kind.encode())


class Manifest(NamedTuple):
    """The files, and the last sequence numbers used."""

    base: AofFile | None = None
    increments: tuple[AofFile, ...] = ()
    history: tuple[AofFile, ...] = ()
    base_seq: int = 0
    increment_seq: int = 0

    @property
    def loaded(self) -> list[AofFile]:
        """The files to load, in order."""
        return [*((self.base,) if self.base is not None else ()), *self.increments]

    def encode(self) -> bytes:
        """Return the contents of the manifest file."""
        files = [*((self.base,) if self.base is not None else ()), *self.history, *self.increments]
        return b"".join(file.encode() for file in files)

    def with_base(self, filename: str, rdb: bool) -> "Manifest":
        """Return the manifest with a new base; the old one becomes history."""
        seq = self.base_seq + 1
        base = AofFile(f"{filename}.{seq}.base.{'rdb' if rdb else 'aof'}", seq, BASE)
        history = self.history
        if self.base is not None:
            history = (self.base._replace(kind=HISTORY), *history)
        return self._replace(base=base, history=history, base_seq=seq)

    def with_increment(self, filename: str) -> "Manifest":
        """Return the manifest with a new increment at the end."""
        seq = self.increment_seq + 1
        made = AofFile(f"{filename}.{seq}.incr.aof", seq, INCREMENT)
        return self._replace(increments=(*self.increments, made), increment_seq=seq)

    def rewritten(self, keep: int) -> "Manifest":
        """Return the manifest with all but the last `keep` increments marked as history."""
        split = len(self.increments) - keep
        old = [file._replace(kind=HISTORY) for file in self.increments[:split]]
        return self._replace(increments=self.increments[split:], history=(*old, *self.history))

    def upgraded(self, filename: str) -> "Manifest":
        """Return the manifest with the single file of Redis before 7.0 as its base."""
        return self._replace(base=AofFile(filename, 1, BASE), base_seq=1)

    def without_history(self) -> "Manifest":
        """Return the manifest without the files marked as history."""
        return self._replace(history=())


def temporary_increment(filename: str) -> str:
    """Return the name of the increment that is used until the first base exists (while AOF is being enabled)."""
    return f"{TEMPORARY_PREFIX}{filename}.incr"


def parse_manifest(data: bytes) -> Manifest:
    """Parse a manifest; raises ManifestError with Redis's messages."""
    if not data:
        raise ManifestError("Found an empty AOF manifest")
    manifest = Manifest()
    *lines, unended = data.split(b"\n")
    for number, raw in enumerate([*lines, unended] if unended else lines, 1):
        if raw[:1] == b"#":
            continue
        if number > len(lines) or len(raw) >= LINE_MAX:
            raise ManifestError("The AOF manifest file contains too long line", number)
        line = raw.strip(b" \t\r\n")
        try:
            manifest = _with_line(manifest, line)
        except ValueError as error:
            raise ManifestError(error.args[0], number, line) from None
    return manifest


def _with_line(manifest: Manifest, line: bytes) -> Manifest:
    words = split_args(line) if line else None
    if words is None or len(words) < 6 or len(words) % 2:
        raise ValueError("Invalid AOF manifest file format")
    fields: dict[bytes, bytes] = {word.lower(): value for word, value in zip(words[::2], words[1::2])}
    name = fields.get(b"file", b"")
    if b"/" in name or b"\\" in name or b"\0" in name:
        raise ValueError("File can't be a path, just a filename")
    digits = fields.get(b"seq", b"0")
    seq = int(digits) if digits.isdigit() else 0
    kind = fields.get(b"type", b"")[:1].decode("latin-1")
    if not name or not seq or not kind:
        raise ValueError("Invalid AOF manifest file format")
    file = AofFile(name.decode(errors="surrogateescape"), seq, kind)
    if kind == BASE:
        if manifest.base is not None:
            raise ValueError("Found duplicate base file information")
        return manifest._replace(base=file, base_seq=seq)
    if kind == HISTORY:
        return manifest._replace(history=(*manifest.history, file))
    if kind == INCREMENT:
        if seq <= manifest.increment_seq:
            raise ValueError("Found a non-monotonic sequence number")
        return manifest._replace(increments=(*manifest.increments, file), increment_seq=seq)
    raise ValueError("Unknown AOF file type")
