"""Effects: an ordered list of values that a node asks its world to execute.

The order is guaranteed: an effect is executed only after those before it. A reply that depends on an
fsync follows its `Sync`. Where Redis itself blocks on a file (ACL LOAD, CONFIG REWRITE, SAVE), the node asks
its world to `run_now` an effect and gets the result immediately; effects before it are executed first.

Links and tickets are numbers: a link identifies one connection (numbers are not reused), a ticket one file
operation whose result is passed to `Node.done(ticket, …)`; ticket 0 requests no result.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class Send(NamedTuple):
    """Write `data` to a link; all replies to it in one round of inputs are one `Send`."""

    link: int
    data: bytes


class Hangup(NamedTuple):
    """Close a link. The node has already forgotten it: there is no `closed` input.

    With `flush`, pending output is still sent while the other end reads it. Otherwise it is dropped: a peer that does
    not read must not occupy memory that is no longer counted.
    """

    link: int
    flush: bool = False


class Dial(NamedTuple):
    """Connect to `host:port`; leads to `opened(link, …)` or `refused(link, error)`. `source` is the local address."""

    link: int
    host: str
    port: int
    tls: bool = False
    source: str = ""


class PauseReading(NamedTuple):
    """Stop delivering input of a link: its client has too much unprocessed input."""

    link: int


class ResumeReading(NamedTuple):
    """Resume delivering input of a link."""

    link: int


class Listen(NamedTuple):
    """Accept connections on an address; `kind` is "tcp", "tls" or "unix" (then `host` is the path)."""

    kind: str
    host: str
    port: int


class CheckTls(NamedTuple):
    """Test the configured TLS certificates and settings (with `run_now`); an OSError is the reason for a failure."""


class Unlisten(NamedTuple):
    """Stop accepting on an address."""

    kind: str
    host: str
    port: int


class Read(NamedTuple):
    """Read a whole file; the result is bytes or an OSError."""

    path: str
    ticket: int = 0


class Write(NamedTuple):
    """Create or truncate a file with these bytes."""

    path: str
    data: bytes
    ticket: int = 0
    mode: int = 0o644


class Append(NamedTuple):
    """Append to a file, creating it if necessary; the result is the number of bytes written."""

    path: str
    data: bytes
    ticket: int = 0


class Sync(NamedTuple):
    """Make written data durable. With `background` in a helper thread (appendfsync everysec)."""

    path: str
    ticket: int = 0
    background: bool = False


class Size(NamedTuple):
    """Get the size of a file; the result is in bytes."""

    path: str
    ticket: int = 0


class Truncate(NamedTuple):
    """Truncate a file to a size in bytes."""

    path: str
    size_bytes: int
    ticket: int = 0


class Rename(NamedTuple):
    """Rename a file, replacing the target, and make the directory entry durable."""

    source: str
    target: str
    ticket: int = 0


class Unlink(NamedTuple):
    """Delete a file; it need not exist."""

    path: str
    ticket: int = 0


class ListDir(NamedTuple):
    """List a directory; the result is a sorted list of names. `create` creates it if it is missing."""

    path: str
    ticket: int = 0
    create: bool = False


class Lock(NamedTuple):
    """Hold a file for as long as the process lives, creating it if need be (to be run now).

    It stays held when it is renamed. A `BlockingIOError` means that another process holds it.
    """

    path: str


class ChangeDir(NamedTuple):
    """Change the working directory."""

    path: str
    ticket: int = 0


class Snapshot(NamedTuple):
    """Write a point-in-time snapshot in the background; its end is reported by `Node.snapshot(id, …)`.

    For `kind` see `Node.snapshot_chunks`; the bytes are written to the file `path` or, if it is empty, passed to the
    node chunk by chunk. With `run_now` the snapshot starts immediately, and the result is the time in µs for which
    that blocked the process; with ID 0 the snapshot is written completely before `run_now` returns.
    """

    id: int
    kind: str
    path: str


class PauseSnapshot(NamedTuple):
    """Pass on no more chunks of a `Snapshot` without a file until `ResumeSnapshot`: its receivers are slow."""

    id: int


class ResumeSnapshot(NamedTuple):
    """Resume a paused `Snapshot`."""

    id: int


class KillSnapshot(NamedTuple):
    """Abort a snapshot."""

    id: int


class Stall(NamedTuple):
    """Block for a while (DEBUG SLEEP): the world delivers no input, and the stopwatch runs on."""

    since_us: int
    duration_us: int


class Exchange(NamedTuple):
    """Send requests to another server and wait for the replies (MIGRATE; with `run_now`).

    `complete` returns whether the bytes received contain all replies. The result is the bytes received within the
    timeout of each step; if they are incomplete, the rest did not arrive in time. An OSError means that connecting or
    sending failed.
    """

    host: str
    port: int
    data: bytes
    complete: Callable[[bytes], bool]
    timeout_ms: int
    tls: bool = False


class Debug(NamedTuple):
    """Start debugging a script over a link (with `run_now`): from then on only `Converse` reads it.

    With `forked` a child takes over the link with a copy of the process; the parent loses the link, and the child
    exits with its `EndDebug`. The result is a `DebugStarted` or an OSError.
    """

    link: int
    forked: bool


class DebugStarted(NamedTuple):
    """The result of `Debug`: the child's process ID, 0 in the process of the script; the duration of the fork."""

    pid: int = 0
    fork_us: int = 0


class Converse(NamedTuple):
    """Send to a debugging client and wait for its next input (with `run_now`).

    The result is the input; b"" if the client disconnected or the wait must end for another reason.
    """

    link: int
    data: bytes


class EndDebug(NamedTuple):
    """Send the last output of a debugging session (with `run_now`); a forked child exits here."""

    link: int
    data: bytes


class KillDebuggers(NamedTuple):
    """Terminate all children that debug scripts."""


class Resolve(NamedTuple):
    """Resolve a host name to its first IP address (with `run_now`), or an OSError."""

    host: str


class CheckExecutable(NamedTuple):
    """Check whether a file is executable (with `run_now`); an OSError is the reason if not."""

    path: str


class Spawn(NamedTuple):
    """Start a program with the environment of the process and none of its open files (with `run_now`).

    The result is the child's process ID, or an OSError.
    """

    argv: tuple[str, ...]


class Reap(NamedTuple):
    """Return the started programs that have ended since the last call, as `Reaped` (with `run_now`)."""


class Reaped(NamedTuple):
    """A program that has ended, with its exit status or the signal that killed it (0: none)."""

    pid: int
    status: int
    signal: int = 0


class KillProgram(NamedTuple):
    """Kill a started program; it must still be reaped."""

    pid: int


class Log(NamedTuple):
    """A line for the server's log; `level` is one of `.-*#` as in Redis's log files."""

    level: str
    text: str


class Title(NamedTuple):
    """Update the title of the process from the configuration."""


SIGABRT = 6  # for Exit: abort because the state may be inconsistent


class Exit(NamedTuple):
    """The node has ended; the world executes the effects before this one, then stops.

    With `crash` the log gets a crash report with this text as its heading, and the process ends by `signal` (if it is
    0, with `status`). With `restart` it is restarted after `delay_us` with its original configuration.
    """

    status: int
    restart: bool = False
    crash: str = ""
    signal: int = 0
    delay_us: int = 0


Effect = (
    Send
    | Hangup
    | Dial
    | PauseReading
    | ResumeReading
    | Listen
    | CheckTls
    | Unlisten
    | Read
    | Write
    | Append
    | Sync
    | Size
    | Truncate
    | Rename
    | Unlink
    | ListDir
    | Lock
    | ChangeDir
    | Snapshot
    | PauseSnapshot
    | ResumeSnapshot
    | KillSnapshot
    | Stall
    | Exchange
    | Debug
    | Converse
    | EndDebug
    | KillDebuggers
    | Resolve
    | CheckExecutable
    | Spawn
    | Reap
    | KillProgram
    | Log
    | Title
    | Exit
)

_LOG_LEVELS = {"debug": 0, "verbose": 1, "notice": 2, "warning": 3, "nothing": 4}


class LogConfig(Protocol):
    """The logging part of a configuration."""

    loglevel: str


class Output:
    """The output of a node: the effects of this round, in order."""

    def __init__(self, config: "LogConfig") -> None:
        self.effects: list[Effect] = []
        self._config = config
        self._world: Callable[[Effect], Any] | None = None
        self.tickets: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self._next_ticket = 1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_world": None}

    def attach(self, world: Callable[[Effect], Any]) -> None:
        """Attach the output to a world, which executes an effect immediately and returns its result or an OSError."""
        self._world = world

    def take(self) -> list[Effect]:
        """Return the effects so far and clear them."""
        effects, self.effects = self.effects, []
        return effects

    def log(self, level: str, text: str) -> None:
        """Write a line to the log: level `.` debug, `-` verbose, `*` notice, `#` warning."""
        if self.is_logged(level):
            self.effects.append(Log(level, text))

    def is_logged(self, level: str) -> bool:
        """Return whether lines of a level are written: to be asked where a line takes long to make."""
        return ".-*#".index(level) >= _LOG_LEVELS[self._config.loglevel]

    def run_now(self, effect: Effect) -> Any:
        """Execute an effect on files (or `Listen`) now, where Redis makes a blocking system call.

        Returns its result; raises OSError.
        """
        assert self._world is not None, "a node has no world before it is attached to one"
        result = self._world(effect)
        if isinstance(result, OSError):
            raise result
        return result

    def ticket(self, method: str, *args: Any) -> int:
        """Return a ticket for a file operation; when it ends, the node's `method(result, *args)` is called."""
        ticket = self._next_ticket
        self._next_ticket += 1
        self.tickets[ticket] = (method, args)
        return ticket

    def redeem(self, ticket: int) -> tuple[str, tuple[Any, ...]]:
        """Return the method and the arguments of a ticket."""
        return self.tickets.pop(ticket)
