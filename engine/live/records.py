"""The file of a journal, which outlives the process."""

import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any


class JournalFile:
    """Records in a file that outlives the process: each is a pickle preceded by its length. An incomplete last record
    is ignored.

    The descriptor is passed from process to process and is trusted: only journals write to it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size
        self._full = False

    def write(self, *record: Any) -> None:
        """Append a record. If the disk is full, empty the file: an old state must not be taken for the last one."""
        if self._full:
            return
        data = pickle.dumps(record, protocol=5)
        data = struct.pack("!Q", len(data)) + data
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self.descriptor, data[written:], self.size_bytes + written)
        except OSError:
            self._full = True
            os.ftruncate(self.descriptor, 0)
        self.size_bytes += len(data)

    def records(self) -> Iterator[tuple[Any, ...]]:
        """Yield all records; new ones overwrite an incomplete last one."""
        at, end = 0, self.size_bytes
        while at + 8 <= end:
            (size,) = struct.unpack("!Q", os.pread(self.descriptor, 8, at))
            if at + 8 + size > end:
                break
            data = bytearray()
            while len(data) < size:
                data += os.pread(self.descriptor, size - len(data), at + 8 + len(data))
            at += 8 + size
            yield pickle.loads(data)
        self.size_bytes = at
