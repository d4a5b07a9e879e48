"""Loading an append-only file: the base, then the increments, one command after the other.

The commands are run by a client that stands for the file. No gate applies to it, nothing that it does is counted,
logged as slow or propagated, and keys whose time is over stay: the commands after them were given while they lived,
and the file itself tells when they went.

A file that a crash cut in the middle of a command, or of a transaction, is cut back to what is whole, if it is the
last one and `aof-load-truncated` allows it. Anything else that is wrong is refused, and nothing is written over it.
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine.aof.commands import BadFormatError, CutOffError, read_command
from engine.client import Client
from engine.dispatch import find_command
from engine.effects import ListDir, Read, Rename, Truncate
from engine.errors import ReplyError
from engine.keyspace import EXPIRE_IGNORE
from engine.persistence import LoadError
from engine.rdb.errors import CorruptRdbError
from engine.rdb.loader import Loader
from engine.rdb.objects import Limits
from engine.resp import Argv, BatchParser, canonical_length
from engine.service import Loading
from engine.table import Command

if TYPE_CHECKING:
    from engine.aof.log import AppendOnlyFile
    from engine.node import Node

_BATCH_BYTES = 1 << 16  # what is parsed in C at once
_WITH_CARE = 50

_FIX = (
    "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, then "
    "use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' "
    "configuration option to yes and restart the server."
)
_BAD = (
    "Bad file format reading the append only file {name}: make a backup of your AOF file, then use ./redis-check-aof "
    "--fix <filename.manifest>"
)


class AofLoadError(LoadError):
    """An append-only file cannot be loaded; the log says why, with nothing to add."""

    last_words = ""


def load_files(aof: "AppendOnlyFile") -> bool:
    """Load what the manifest names; False when there is nothing. Raises AofLoadError."""
    node = aof.node
    _upgrade(aof)
    files = aof.manifest.loaded
    if not files:
        return False
    names = _names(aof, aof.config.appenddirname)
    for file in files:
        if file.name not in names:
            text = f"Unable to obtain the AOF file {file.name} length. stat: No such file or directory"
            node.log("#", text)
            raise AofLoadError
    aof.current_size = aof.base_size = 0
    outer = node.propagating, node.space.expire_mode
    node.propagating, node.space.expire_mode = False, EXPIRE_IGNORE
    try:
        for file in files:
            started = node.stopwatch()
            size = _File(aof, file.name, last=file is files[-1]).load()
            aof.current_size += size
            if file is aof.manifest.base:
                aof.base_size = size
            kind = "base" if file is aof.manifest.base else "incr"
            if size or kind == "incr":
                seconds = (node.stopwatch() - started) / 1e6
                node.log("*", f"DB loaded from {kind} file {file.name}: {seconds:.3f} seconds")
            aof.increment_size = size if kind == "incr" else 0
    finally:
        node.propagating, node.space.expire_mode = outer
        node.waiting.ready.clear()
        node.aftermath = False
    return True


def _names(aof: "AppendOnlyFile", directory: str) -> list[str]:
    try:
        names: list[str] = aof.node.perform(ListDir(directory))
    except OSError:
        return []
    return names


def _upgrade(aof: "AppendOnlyFile") -> None:
    """Take over the single file of Redis before 7.0: it becomes the base, within the directory."""
    node, config, manifest = aof.node, aof.config, aof.manifest
    name = config.appendfilename
    if name not in _names(aof, "."):
        return
    if manifest.loaded:
        begun = manifest.base is not None and manifest.base.name == name and not manifest.increments
        if not begun or name in _names(aof, config.appenddirname):
            return
    if not aof.make_directory() or not aof.switch(manifest.upgraded(name)):
        raise AofLoadError
    try:
        node.perform(Rename(name, aof.place(name)))
    except OSError as error:
        node.log(
            "#",
            f"Error trying to move the old AOF file {name} into dir {config.appenddirname}: {error.strerror}",
        )
        raise AofLoadError from None
    node.log(
        "*",
        f"Successfully migrated an old-style AOF file ({name}) into the AOF directory ({config.appenddirname}).",
    )


class _File:
    """One file being loaded."""

    def __init__(self, aof: "AppendOnlyFile", name: str, last: bool) -> None:
        self.aof = aof
        self.node: Node = aof.node
        self.name = name
        self.last = last
        self.client = loading_client(self.node)
        self.queue: list[tuple[Command, Argv]] | None = None  # of a transaction

    def load(self) -> int:
        """Load the file; returns its size in bytes, as it is afterwards."""
        node, name = self.node, self.name
        try:
            data: bytes = node.perform(Read(self.aof.place(name)))
        except OSError as error:
            reason = error.strerror
            node.log("#", f"Fatal error: can't open the append log file {name} for reading: {reason}")
            raise AofLoadError from None
        with Loading(node, len(data)) as loading:
            return self._load(data, loading)

    def _load(self, data: bytes, loading: Loading) -> int:
        node, name = self.node, self.name
        p = self._base(data, loading) if data.startswith(b"REDIS") else 0
        whole = before_transaction = told = p
        parser = BatchParser()
        one_by_one = 0  # commands to read with care before the next attempt at a batch
        try:
            while p < len(data):
                if p - told >= loading.step_bytes:
                    loading.advance(p - told)
                    told = p
                    if node.exiting:
                        raise AofLoadError
                begins = p
                if not one_by_one:
                    batch, used = parser.parse(data[p : data.rfind(b"\r\n*", p, p + _BATCH_BYTES) + 2] or b"-")
                    for i, argv in enumerate(batch):
                        if self._run(argv):
                            before_transaction = begins + sum(map(canonical_length, batch[:i]))
                    if used:
                        whole = p = p + used
                        continue
                    one_by_one = _WITH_CARE
                one_by_one -= 1
                command, p = read_command(data, p)
                if command is not None:
                    if self._run(command):
                        before_transaction = begins
                    whole = p
                elif self.queue is None:
                    whole = p
        except CutOffError:
            return self._cut(before_transaction if self.queue is not None else whole)
        except BadFormatError as error:
            node.log("#", f"AOF file {name}, offset {error.offset}: {error.reason}")
            node.log("#", _BAD.format(name=name))
            raise AofLoadError from None
        if self.queue is not None:
            node.log("#", f"Revert incomplete MULTI/EXEC transaction in AOF file {name}")
            return self._cut(before_transaction)
        return len(data)

    def _base(self, data: bytes, loading: Loading) -> int:
        """Load the RDB part; returns where it ends."""
        node, name = self.node, self.name
        old = name == self.aof.config.appendfilename
        node.log("*", "Reading RDB preamble from AOF file..." if old else "Reading RDB base file on AOF loading...")
        checksum = node.config.rdbchecksum and not node.skip_checksum_validation
        loader = Loader(node.space, Limits.of(node.config), drop_expired=False, checksum=checksum)
        try:
            node.persistence.feed_all(loader, data, loading)
            node.load_functions(loader.functions)
        except CorruptRdbError as error:
            node.log("#", f"Internal error in RDB reading offset {error.offset}: {error.reason}")
        except ReplyError as error:
            node.log("#", f"Failed creating the library: {error.text.decode(errors='replace')}")
        else:
            node.persistence.keys_loaded, node.persistence.keys_expired = loader.keys_loaded, loader.keys_expired
            if old:
                node.log("*", "Reading the remaining AOF tail...")
            return len(data) - len(loader.rest)
        part = "RDB preamble of the AOF file" if old else "RDB base file"
        node.log("#", f"Error reading the {part} {name}, AOF loading aborted")
        raise AofLoadError

    def _cut(self, size: int) -> int:
        """Cut the file back to what is whole, where that is allowed; returns its size in bytes."""
        node, name = self.node, self.name
        if node.config.aof_load_truncated:
            node.log("#", f"!!! Warning: short read while loading the AOF file {name}!!!")
            node.log("#", f"!!! Truncating the AOF {name} at offset {size} !!!")
            if not self.last:
                node.log("#", "Fatal error: the truncated file is not the last file")
                raise AofLoadError
            try:
                node.perform(Truncate(self.aof.place(name), size))
            except OSError as error:
                node.log("#", f"Error truncating the AOF file {name}: {error.strerror}")
            else:
                node.log("#", f"AOF {name} loaded anyway because aof-load-truncated is enabled")
                return size
        node.log("#", _FIX.format(name=name))
        raise AofLoadError

    def _run(self, argv: Argv) -> bool:
        """Run a command, or queue it; True when it begins a transaction."""
        node = self.node
        try:
            command = find_command(node, argv)
        except ReplyError:
            shown = argv[0].decode(errors="surrogateescape")
            node.log("#", f"Unknown command '{shown}' reading the append only file {self.name}")
            raise AofLoadError from None
        if self.queue is None:
            if command.name == b"multi":
                self.queue = []
                return True
            if command.name != b"exec":
                self._call(command, argv)
        elif command.name == b"exec":
            queue, self.queue = self.queue, None
            for queued, request in queue:
                self._call(queued, request)
        else:
            self.queue.append((command, argv))
        return False

    def _call(self, command: Command, argv: Argv) -> None:
        node = self.node
        if not command.takes(len(argv)):
            return
        node.executing, node.executing_argv, self.client.current = self.client, argv, command
        try:
            command.handler(self.client, argv)
        except ReplyError:
            pass  # it failed when it was written, too
        finally:
            node.executing = node.instead = None
            node.executing_argv = []
            node.force_propagation = False
            node.pending_propagation.clear()
            self.client.out.clear()
            self.client.push_after.clear()


def loading_client(node: "Node") -> Client:
    """Return a client that runs what an append-only file holds."""
    client = Client(node, 0, 0)
    client.flags = flags.INTERNAL | flags.DENY_BLOCKING
    return client
