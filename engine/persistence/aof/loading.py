"""Loading an append-only file: the base, then the increments, command by command.

A fake client runs the commands. It bypasses all checks; its commands are not counted, logged as slow or propagated,
and expired keys are kept: later commands in the file were executed while the keys existed, and the file itself
contains their deletion.

If `aof-load-truncated` allows it, a file that a crash truncated in the middle of a command is cut back to its last
complete command, and one that ends within a transaction is cut back to the start of the transaction. A file that is
not the last one is also truncated, but the server does not start. Any other damage is an error, and the file is not
modified.

As in Redis, a file truncated within a command of a transaction keeps the transaction's complete commands. The first
write removes them; otherwise the new commands would become part of the transaction and be lost at the next start.
"""

from typing import TYPE_CHECKING

from engine.clients import client as flags
from engine.clients.client import Client
from engine.effects import ListDir, Read, Rename, Truncate
from engine.execution.busy import Loading
from engine.execution.dispatch import find_command
from engine.keyspace.databases import EXPIRE_IGNORE
from engine.persistence.aof.commands import BadFormatError, CutOffError, read_command
from engine.persistence.rdb.errors import CorruptRdbError, FatalRdbError, RefusedFileError
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.snapshots import ToldError, library_error
from engine.protocol.errors import ReplyError, wrong_arity
from engine.protocol.resp import Argv, BatchParser, Reply, canonical_length
from engine.table.declarations import Command

if TYPE_CHECKING:
    from engine.persistence.aof.log import AppendOnlyFile

_BATCH_BYTES = 1 << 16  # size of the chunks that are parsed in C
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


class AofLoadError(ToldError):
    """An append-only file cannot be loaded."""


def load_files(aof: "AppendOnlyFile") -> bool:
    """Load the files of the manifest. Returns False if there are none. Raises AofLoadError."""
    _upgrade(aof)
    files = aof.manifest.loaded
    if not files:
        return False
    names = _names(aof, aof.config.appenddirname)
    for file in files:
        if file.name not in names:
            text = f"Unable to obtain the AOF file {file.name} length. stat: No such file or directory"
            aof.output.log("#", text)
            raise AofLoadError
    aof.current_size = aof.base_size = 0
    aof.unfinished_at = -1
    expire_mode, aof.space.expire_mode = aof.space.expire_mode, EXPIRE_IGNORE
    try:
        with aof.execution.suspended(), aof.propagation.stopped():
            for file in files:
                _load_file(aof, file.name, last=file is files[-1])
    finally:
        aof.space.expire_mode = expire_mode
        aof.waiting.ready.clear()
    return True


def _load_file(aof: "AppendOnlyFile", name: str, last: bool) -> None:
    started = aof.clock.stopwatch()
    file = _LoadingFile(aof, name, last)
    size = file.load()
    aof.current_size += file.found_bytes  # as in Redis, including the truncated part
    base = aof.manifest.base is not None and aof.manifest.base.name == name
    if base:
        aof.base_size = file.found_bytes
    if file.found_bytes:
        seconds = (aof.clock.stopwatch() - started) / 1e6
        aof.output.log("*", f"DB loaded from {'base' if base else 'incr'} file {name}: {seconds:.3f} seconds")
    aof.increment_size = 0 if base else size


def _names(aof: "AppendOnlyFile", directory: str) -> list[str]:
    try:
        names: list[str] = aof.output.run_now(ListDir(directory))
    except OSError:
        return []
    return names


def _upgrade(aof: "AppendOnlyFile") -> None:
    """Convert the single file of Redis before 7.0: move it into the directory, where it becomes the base."""
    config, manifest = aof.config, aof.manifest
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
        aof.output.run_now(Rename(name, aof.place(name)))
    except OSError as error:
        aof.output.log(
            "#",
            f"Error trying to move the old AOF file {name} into dir {config.appenddirname}: {error.strerror}",
        )
        raise AofLoadError from None
    aof.output.log(
        "*",
        f"Successfully migrated an old-style AOF file ({name}) into the AOF directory ({config.appenddirname}).",
    )


class _LoadingFile:
    """One file being loaded."""

    def __init__(self, aof: "AppendOnlyFile", name: str, last: bool) -> None:
        self.aof = aof
        self.name = name
        self.last = last
        self.found_bytes = 0
        self.client = loading_client(aof)
        self.queue: list[tuple[Command, Argv]] | None = None  # commands of an open transaction

    def load(self) -> int:
        """Load the file. Returns its size in bytes afterwards."""
        aof, name = self.aof, self.name
        try:
            data: bytes = aof.output.run_now(Read(aof.place(name)))
        except OSError as error:
            reason = error.strerror
            aof.output.log("#", f"Fatal error: can't open the append log file {name} for reading: {reason}")
            raise AofLoadError from None
        if data:
            aof.connections.take_id()  # Redis creates a client to load a file
        self.found_bytes = len(data)
        with Loading(aof.suspension, len(data)) as loading:
            return self._load(data, loading)

    def _load(self, data: bytes, loading: Loading) -> int:
        aof, name = self.aof, self.name
        p = self._base(data, loading) if data.startswith(b"REDIS") else 0
        whole = before_transaction = told = p
        parser = BatchParser()
        one_by_one = 0  # commands to read individually before the next attempt at a batch
        try:
            while p < len(data):
                if p - told >= loading.step_bytes:
                    loading.advance(p - told)
                    told = p
                    if aof.ending.exiting:
                        raise AofLoadError
                begins = p
                if not one_by_one:
                    batch, used = parser.parse(data[p : data.rfind(b"\r\n*", p, p + _BATCH_BYTES) + 2] or b"-")
                    for i, argv in enumerate(batch):
                        if self._run(argv):
                            before_transaction = begins + sum(map(canonical_length, batch[:i])) if i else whole
                    if used:
                        whole = p = p + used
                        continue
                    one_by_one = _WITH_CARE
                one_by_one -= 1
                command, p = read_command(data, p)
                if command is not None:
                    if self._run(command):
                        before_transaction = whole
                    whole = p
        except CutOffError:
            size = self._cut(whole)
            if self.queue is not None:
                aof.unfinished_at = before_transaction
            return size
        except BadFormatError as error:
            aof.output.log("#", f"AOF file {name}, offset {error.offset}: {error.reason}")
            aof.output.log("#", _BAD.format(name=name))
            raise AofLoadError from None
        if self.queue is not None:
            aof.output.log("#", f"Revert incomplete MULTI/EXEC transaction in AOF file {name}")
            return self._cut(before_transaction)
        return len(data)

    def _base(self, data: bytes, loading: Loading) -> int:
        """Load the RDB part. Returns the position of its end."""
        aof, name = self.aof, self.name
        old = name == aof.config.appendfilename
        aof.output.log(
            "*", "Reading RDB preamble from AOF file..." if old else "Reading RDB base file on AOF loading..."
        )
        checksum = aof.config.rdbchecksum and not aof.persistence.skip_checksum_validation
        loader = Loader(aof.space, RdbLimits.of(aof.config), drop_expired=False, checksum=checksum)
        try:
            aof.persistence.feed_all(loader, data, loading)
            aof.persistence.functions.load_functions(loader.functions)
        except FatalRdbError:
            raise AofLoadError from None
        except RefusedFileError:
            pass
        except CorruptRdbError as error:
            aof.output.log("#", f"Internal error in RDB reading offset {error.offset} -> {error.reason}")
        except ReplyError as error:
            aof.output.log("#", library_error(error))
        else:
            aof.persistence.keys_loaded, aof.persistence.keys_expired = loader.keys_loaded, loader.keys_expired
            if old:
                aof.output.log("*", "Reading the remaining AOF tail...")
            return len(data) - len(loader.rest)
        part = "RDB preamble of the AOF file" if old else "RDB base file"
        aof.output.log("#", f"Error reading the {part} {name}, AOF loading aborted")
        raise AofLoadError

    def _cut(self, size: int) -> int:
        """Truncate the file after the last complete command if that is allowed. Returns its new size in bytes."""
        aof, name = self.aof, self.name
        if aof.config.aof_load_truncated:
            aof.output.log("#", f"!!! Warning: short read while loading the AOF file {name}!!!")
            aof.output.log("#", f"!!! Truncating the AOF {name} at offset {size} !!!")
            try:
                aof.output.run_now(Truncate(aof.place(name), size))
            except OSError as error:
                aof.output.log("#", f"Error truncating the AOF file {name}: {error.strerror}")
            else:
                aof.output.log("#", f"AOF {name} loaded anyway because aof-load-truncated is enabled")
                if not self.last:
                    aof.output.log("#", "Fatal error: the truncated file is not the last file")
                    raise AofLoadError
                return size
        aof.output.log("#", _FIX.format(name=name))
        raise AofLoadError

    def _run(self, argv: Argv) -> bool:
        """Run or queue a command. Returns True for MULTI."""
        aof = self.aof
        try:
            command = find_command(aof.commands, argv)
        except ReplyError:
            shown = argv[0].decode(errors="surrogateescape")
            aof.output.log("#", f"Unknown command '{shown}' reading the append only file {self.name}")
            raise AofLoadError from None
        if command.name == b"exec":
            queue, self.queue = self.queue, None
            if queue is None:
                self._failed(ReplyError(b"ERR EXEC without MULTI"), "exec")
            for queued, request in queue or ():
                if queued.name == b"multi":
                    self._failed(ReplyError(b"ERR MULTI calls can not be nested"), "exec")
                else:
                    self._call(queued, request, "exec")
        elif self.queue is not None:
            self.queue.append((command, argv))
        elif command.name == b"multi":
            self.queue = []
        else:
            self._call(command, argv, command.name.decode())
        return command.name == b"multi"

    def _call(self, command: Command, argv: Argv, name: str) -> None:
        """Run a command; errors are logged under `name`."""
        aof = self.aof
        reply: Reply = None
        execution = aof.execution
        outer = execution.enter(self.client, argv)
        self.client.current = command
        try:
            reply = command.handler(self.client, argv) if command.takes(len(argv)) else wrong_arity(command.name)
        except ReplyError as error:
            reply = error
        finally:
            execution.leave(outer)
            execution.override = None
            self.client.out.clear()
            self.client.push_after.clear()
        if type(reply) is ReplyError:
            self._failed(reply, name)

    def _failed(self, error: ReplyError, name: str) -> None:
        aof = self.aof
        aof.stats.count_error(error)
        aof.divergence.diverges(self.client, error, name)
        if aof.ending.exiting:
            raise AofLoadError


def loading_client(aof: "AppendOnlyFile") -> Client:
    """Return a client for running the commands of an append-only file."""
    client = aof.new_client()
    client.flags = flags.INTERNAL | flags.DENY_BLOCKING
    return client
