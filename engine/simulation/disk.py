"""A simulated disk: files, and a page cache whose unsynced contents are lost in a power cut.

A file has bytes, of which a prefix is durable; whether its name is durable is separate. Overwriting a file assigns
the name to a new file, but on disk it refers to the old one until the new one is synced. A rename makes all names of
the directory durable (`effects.Rename`), so a file that was renamed without a sync may come back with its name but
without its bytes.

After a power cut, only durable names and bytes exist. A torn cut keeps a prefix of the bytes appended since,
as if the kernel had begun to write them.
"""

from engine.values.rng import Rng

ENOENT, ENOSPC = 2, 28


class File:
    """The contents of a file; the first `durable` bytes are on disk."""

    __slots__ = ("data", "durable")

    def __init__(self, data: bytes = b"", durable: int = 0) -> None:
        self.data = bytearray(data)
        self.durable = durable


class Disk:
    """The files of one host, by absolute path."""

    def __init__(self) -> None:
        self.names: dict[str, File] = {}
        self.durable_names: dict[str, File] = {}
        self.limit_bytes = 0  # 0: no limit

    # --- reading ------------------------------------------------------------------------------------------------

    def file(self, path: str) -> File:
        """Return a file; raises FileNotFoundError."""
        found = self.names.get(path)
        if found is None:
            raise FileNotFoundError(ENOENT, "No such file or directory")
        return found

    def read(self, path: str) -> bytes:
        """Return the contents of a file; raises FileNotFoundError."""
        return bytes(self.file(path).data)

    def size(self, path: str) -> int:
        """Return the size of a file in bytes; raises FileNotFoundError."""
        return len(self.file(path).data)

    def list(self, directory: str) -> list[str]:
        """Return the sorted names in a directory, including subdirectories."""
        head = directory.rstrip("/") + "/"
        return sorted({path[len(head) :].split("/")[0]: None for path in self.names if path.startswith(head)})

    @property
    def used_bytes(self) -> int:
        """The total size of all files."""
        return sum(len(file.data) for file in self.names.values())

    @property
    def unsynced_bytes(self) -> int:
        """The number of bytes that a power cut would lose."""
        lost = sum(len(file.data) - file.durable for file in self.names.values())
        return lost + sum(
            file.durable for path, file in self.names.items() if self.durable_names.get(path) is not file
        )

    def _room(self, wanted: int, freed: int = 0) -> int:
        if not self.limit_bytes:
            return wanted
        return max(0, min(wanted, self.limit_bytes - self.used_bytes + freed))

    # --- changing -----------------------------------------------------------------------------------------------

    def write(self, path: str, data: bytes) -> int:
        """Create or replace a file; raises OSError when the disk is full, after writing as much as fits."""
        old = self.names.get(path)
        room = self._room(len(data), len(old.data) if old is not None else 0)
        self.names[path] = File(data[:room])
        if room < len(data):
            raise OSError(ENOSPC, "No space left on device")
        return len(data)

    def append(self, path: str, data: bytes) -> int:
        """Append to a file, creating it if necessary. Returns how many bytes fit; raises OSError if none did."""
        room = self._room(len(data))
        if data and not room:
            raise OSError(ENOSPC, "No space left on device")
        file = self.names.get(path)
        if file is None:
            file = self.names[path] = File()
        file.data += data[:room]
        return room

    def sync(self, path: str, size_bytes: int = -1) -> None:
        """Make a file and its name durable; `size_bytes` limits this to a prefix (the size when fsync started)."""
        file = self.file(path)
        file.durable = max(file.durable, len(file.data) if size_bytes < 0 else min(size_bytes, len(file.data)))
        self.durable_names[path] = file

    def truncate(self, path: str, size_bytes: int) -> None:
        """Truncate a file to a size in bytes."""
        file = self.file(path)
        del file.data[size_bytes:]
        file.durable = min(file.durable, size_bytes)

    def rename(self, source: str, target: str) -> None:
        """Rename a file, and make the names in both directories durable."""
        self.names[target] = self.file(source)
        if source != target:
            del self.names[source]
        self._sync_directory(target.rpartition("/")[0])
        self.durable_names.pop(source, None)

    def unlink(self, path: str) -> None:
        """Remove a name if it exists. It may be back after a power cut."""
        self.names.pop(path, None)

    def wipe(self, keep: tuple[str, ...]) -> None:
        """Remove everything except some files."""
        for names in (self.names, self.durable_names):
            for path in list(names):
                if path not in keep:
                    del names[path]

    def _sync_directory(self, directory: str) -> None:
        for path in [path for path in self.durable_names if path.rpartition("/")[0] == directory]:
            if path not in self.names:
                del self.durable_names[path]
        for path, file in self.names.items():
            if path.rpartition("/")[0] == directory:
                self.durable_names[path] = file

    # --- power cuts ---------------------------------------------------------------------------------------------

    def power_cut(self, rng: Rng | None = None) -> int:
        """Drop everything that is not durable; with `rng`, keep a random part. Returns how many bytes were lost."""
        lost = 0
        for path, file in self.names.items():
            if rng is not None and (path not in self.durable_names or self.durable_names[path] is file):
                unsynced = len(file.data) - file.durable
                if unsynced:
                    file.durable += rng.below(unsynced + 1)
                    self.durable_names[path] = file
            lost += len(file.data) - (file.durable if self.durable_names.get(path) is file else 0)
        self.names = dict(self.durable_names)
        for file in self.names.values():
            del file.data[file.durable :]
        return lost
