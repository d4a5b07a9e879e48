"""What a node wants done by its world, as an ordered list of values.

The order is the promise: an effect may only be carried out when those before it are. A reply that depends on an
fsync stands after that `Sync`. Where Redis itself blocks on a file (ACL LOAD, CONFIG REWRITE, SAVE), the node asks
its world to `perform` an effect and gets the result at once: what stands before it is carried out first.

Links and tickets are numbers: a link names one connection for ever (numbers are not reused), a ticket names one file
operation whose end comes back as `Node.done(ticket, …)`; ticket 0 asks for no answer.
"""

from typing import NamedTuple


class Send(NamedTuple):
    """Write `data` to a link; all replies that one round of inputs caused on it are one `Send`."""

    link: int
    data: bytes


class Hangup(NamedTuple):
    """Close a link once what was sent before has left. The node already forgot it: no `closed` comes back."""

    link: int


class Dial(NamedTuple):
    """Connect to `host:port`; ends in `opened(link, …)` or `refused(link, error)`. `source` binds the near end."""

    link: int
    host: str
    port: int
    tls: bool = False
    source: str = ""


class PauseReading(NamedTuple):
    """Stop delivering bytes of a link: its client has too much unread input."""

    link: int


class ResumeReading(NamedTuple):
    """Deliver bytes of a link again."""

    link: int


class Listen(NamedTuple):
    """Accept connections on an address; `kind` is "tcp", "tls" or "unix" (then `host` is the path)."""

    kind: str
    host: str
    port: int


class CheckTls(NamedTuple):
    """Try the configuration's certificates and settings for TLS (to be performed); an OSError says what is wrong."""


class Unlisten(NamedTuple):
    """Stop accepting on an address."""

    kind: str
    host: str
    port: int


class Read(NamedTuple):
    """Read a whole file; `done` gets bytes, or an OSError."""

    path: str
    ticket: int = 0


class Write(NamedTuple):
    """Create or truncate a file with these bytes."""

    path: str
    data: bytes
    ticket: int = 0
    mode: int = 0o644


class Append(NamedTuple):
    """Append to a file, creating it if need be; `done` gets the number of bytes written."""

    path: str
    data: bytes
    ticket: int = 0


class Sync(NamedTuple):
    """Make what was written to a file durable. `background` lets a helper thread do it (appendfsync everysec)."""

    path: str
    ticket: int = 0
    background: bool = False


class Size(NamedTuple):
    """Tell how long a file is; `done` gets bytes."""

    path: str
    ticket: int = 0


class Truncate(NamedTuple):
    """Cut a file to a length."""

    path: str
    size_bytes: int
    ticket: int = 0


class Rename(NamedTuple):
    """Rename a file, replacing the target, and make the directory entry durable."""

    source: str
    target: str
    ticket: int = 0


class Unlink(NamedTuple):
    """Remove a file; a file that is not there is not an error."""

    path: str
    ticket: int = 0


class ListDir(NamedTuple):
    """List a directory; `done` gets a sorted list of names. `create` makes it when missing."""

    path: str
    ticket: int = 0
    create: bool = False


class ChangeDir(NamedTuple):
    """Change the directory that relative paths are read from."""

    path: str
    ticket: int = 0


class Snapshot(NamedTuple):
    """Write a point-in-time snapshot in the background; progress comes back as `Node.snapshot(id, …)`.

    for `kind` see `Node.snapshot_chunks`; the bytes go to the file `path` or, when it is empty, to
    the node chunk by chunk. Performed, it is begun at once, and ends in how many µs everything stood still for that;
    or for id 0 written at once and to the end.
    """

    id: int
    kind: str
    path: str


class PauseSnapshot(NamedTuple):
    """Hand over nothing more of a `Snapshot` without a file until `ResumeSnapshot`: those it is for are slow."""

    id: int


class ResumeSnapshot(NamedTuple):
    """Go on with a `Snapshot` that was paused."""

    id: int


class KillSnapshot(NamedTuple):
    """Give a snapshot up."""

    id: int


class Stall(NamedTuple):
    """Do nothing for a while (DEBUG SLEEP): the world delivers no input, and the stopwatch runs on."""

    since_us: int
    duration_us: int


class Exchange(NamedTuple):
    """Send requests to another server and wait for the first line of each reply (MIGRATE; to be performed).

    Ends in the lines that came within the time for each step, without their ends; fewer than `replies` mean that the
    rest did not come. An OSError means that the server could not be reached or written to.
    """

    host: str
    port: int
    data: bytes
    replies: int
    timeout_ms: int
    tls: bool = False


class Debug(NamedTuple):
    """Begin to debug a script over a link (to be performed): from here on `Converse` alone reads it.

    With `forked` a child takes the link over, with a copy of everything; the parent has lost the link, and the child
    ends with its `EndDebug`. Ends in a `Debugging` or an OSError.
    """

    link: int
    forked: bool


class Debugging(NamedTuple):
    """What a `Debug` came to: the child's number, 0 for the process that runs the script; how long forking took."""

    pid: int = 0
    fork_us: int = 0


class Converse(NamedTuple):
    """Send to a client that debugs, and wait for what it says next (to be performed).

    Ends in its bytes; in b"" when it is gone, or the wait is to end for another reason.
    """

    link: int
    data: bytes


class EndDebug(NamedTuple):
    """Send the last of a debugging session (to be performed); a forked child ends here."""

    link: int
    data: bytes


class KillDebuggers(NamedTuple):
    """End all children that debug scripts."""


class Log(NamedTuple):
    """A line for the server's log; `level` is one of `.-*#` as in Redis's log files."""

    level: str
    text: str


class Title(NamedTuple):
    """Make the title of the process anew, by the configuration."""


class Exit(NamedTuple):
    """The node has ended; the world carries out what stands before this, then stops.

    With `crash` it did not end well: a report goes to the log, headed by this text, and the process dies by `signal`
    (if that is not 0: then with the status). With `restart` it is started anew after `delay_us`, as it was at first.
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
    | Log
    | Title
    | Exit
)
