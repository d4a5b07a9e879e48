"""Actions on a simulated world by a learner, a scenario or a test. Plain data; times in µs."""

from typing import NamedTuple

PROMPT = "@"  # prefix of the name of a client that represents the prompt at a host


class AddHost(NamedTuple):
    """Add a machine to the network. The directives are its redis.conf; `address` is `172.16.6.18:6379`.

    With a `directory`, it contains the data and redis.conf, and the file contains only these directives.
    """

    name: str
    address: str
    directives: tuple[str, ...] = ()
    directory: str = ""


class AddSentinel(NamedTuple):
    """Add a machine to the network whose process is a Sentinel; the directives are its sentinel.conf.

    With a `directory`, it contains sentinel.conf, and the file contains only these directives.
    """

    name: str
    address: str
    directives: tuple[str, ...] = ()
    directory: str = ""


class AddApplication(NamedTuple):
    """Add an application to the network, which begins to write (see `engine.simulation.application`).

    It asks the Sentinels at these addresses for `master`; without Sentinels it writes to `address`.
    """

    name: str
    sentinels: tuple[str, ...]
    master: str
    address: str
    period_us: int


class AddClusterApplication(NamedTuple):
    """Add an application to the network that writes to a cluster (see `engine.simulation.cluster_application`).

    It is given the addresses of some nodes, and appends to these keys in turn.
    """

    name: str
    nodes: tuple[str, ...]
    keys: tuple[str, ...]
    follows: str
    period_us: int


class AddProgram(NamedTuple):
    """Add a client program to the network, which begins to act (see `engine.simulation.programs`).

    It finds its server as an application does. `key` is the writer that a reader reads, a queue, or a lock; the times
    in ms and `fenced` are those of a locker.
    """

    name: str
    kind: str
    sentinels: tuple[str, ...]
    master: str
    address: str
    period_us: int
    key: str
    ttl_ms: int = 3000
    work_ms: int = 1000
    fenced: bool = True


class Remove(NamedTuple):
    """Take a machine or a client program off the network: it has no power, and nobody finds it any more."""

    host: str


class Start(NamedTuple):
    """Start the server of a host with the data on its disk; switches the machine on first if it has no power.

    Client programs can be started, crashed, paused and continued as well.
    """

    host: str


class Crash(NamedTuple):
    """Kill a server (SIGKILL). The machine stays up: it closes the connections and keeps all data on disk."""

    host: str


class Terminate(NamedTuple):
    """Ask a server to shut down (SIGTERM)."""

    host: str


class Pause(NamedTuple):
    """Stop a process (SIGSTOP): it does nothing, but its connections stay open."""

    host: str


class Continue(NamedTuple):
    """Continue a stopped process (SIGCONT)."""

    host: str


class PullPlug(NamedTuple):
    """Cut a machine's power: its process ends without closing connections, and data that was not fsynced is lost.

    With `torn`, a prefix of the data that was not fsynced may be on disk. With `after_effects` the power fails in the
    middle of a round, after this many more effects.
    """

    host: str
    torn: bool = False
    after_effects: int = 0


class Wipe(NamedTuple):
    """Delete everything except the configuration on the disk of a host whose server is not running."""

    host: str


class WriteFile(NamedTuple):
    """Write a file durably on the disk of a host, as an administrator does; `path` is absolute."""

    host: str
    path: str
    data: bytes


class RemoveFile(NamedTuple):
    """Delete a file durably from the disk of a host."""

    host: str
    path: str


class Directives(NamedTuple):
    """Write a new redis.conf for the next start of a host."""

    host: str
    directives: tuple[str, ...]


class SetClock(NamedTuple):
    """Set a machine's wall clock to an offset from the world's time (negative: behind it).

    The monotonic clock, and therefore every timeout, is not affected.
    """

    host: str
    offset_us: int


class DiskLimit(NamedTuple):
    """Limit the size of a disk in bytes; 0: no limit. Further writes fail with ENOSPC."""

    host: str
    size_bytes: int


class SetLink(NamedTuple):
    """Set a link's latency (one way) and bandwidth (0: no limit) for data sent from now on."""

    a: str
    b: str
    latency_us: int
    bytes_per_s: int = 0


class Cut(NamedTuple):
    """Break the network between two hosts.

    "silent": bytes are held until the link heals, without an error. "reset": open connections are closed immediately,
    and the link keeps working. "half-open": the network forgets the connections, and bytes are lost until the link
    heals; "both" ends still consider them open or, with a direction, only its first end does, while the other is
    notified.
    """

    a: str
    b: str
    kind: str = "silent"
    direction: str = "both"


class Heal(NamedTuple):
    """Repair the network between two hosts: held bytes arrive, and bytes on forgotten connections cause a reset."""

    a: str
    b: str


class ClosePort(NamedTuple):
    """Have a machine's firewall reject connections to a port. Open connections are reset."""

    host: str
    port: int


class OpenPort(NamedTuple):
    """Have a machine's firewall accept connections to a port again."""

    host: str
    port: int


class Readdress(NamedTuple):
    """Give a machine whose server does not run another IP address; its disk and its port stay as they are."""

    host: str
    address: str


class OpenClient(NamedTuple):
    """Connect a client, which is a separate host on the network, to a server.

    With `ip` 127.0.0.1, the server sees it as a client on the same machine.
    """

    client: str
    host: str
    ip: str = ""


class OpenClientAt(NamedTuple):
    """Connect a client to another port of a server than its main one."""

    client: str
    host: str
    ip: str
    port: int


class FailHandshake(NamedTuple):
    """End the connection of a client whose TLS handshake has failed; the server logs the reason."""

    client: str
    reason: str


class SendCommand(NamedTuple):
    """Send a command from a client."""

    client: str
    argv: tuple[bytes, ...]


class RawBytes(NamedTuple):
    """Send raw bytes from a client."""

    client: str
    data: bytes


class CloseClient(NamedTuple):
    """Close a client's connection."""

    client: str


class ChooseNext(NamedTuple):
    """Let a pending event happen next; what was due before it is late (see `engine.simulation.pending`).

    `pending` is its key, and `what` says in words what it is, for whoever reads the action.
    """

    pending: str
    what: str = ""


class HoldMessage(NamedTuple):
    """Keep a message on the network, and what its connection sends after it, until it is released."""

    pending: str
    what: str = ""


class ReleaseMessage(NamedTuple):
    """Let a held message arrive, and what waits behind it."""

    pending: str
    what: str = ""


class DelayMessage(NamedTuple):
    """Let a message, or the end of an operation of a disk, be later by so many µs."""

    pending: str
    delay_us: int
    what: str = ""


class DropMessage(NamedTuple):
    """Lose a segment on the network: TCP sends it again after its timeout."""

    pending: str
    what: str = ""


class Expose(NamedTuple):
    """Let the outside reach a host at a port of 127.0.0.1 (see `engine.simulation.gateway`)."""

    host: str
    port: int


class OutsideOpens(NamedTuple):
    """A connection from outside to an exposed host; `link` identifies it, `local_port` is its source port."""

    link: int
    host: str
    local_port: int


class OutsideSends(NamedTuple):
    """Bytes have come from outside."""

    link: int
    data: bytes


class OutsideEnds(NamedTuple):
    """The outside has closed a connection."""

    link: int


class OutsideAnswers(NamedTuple):
    """The outside accepts a connection that a host has requested, as `link`; 0: it refuses it."""

    connection: int
    link: int


class OutsideReads(NamedTuple):
    """The outside reads from a connection again, or not any longer."""

    link: int
    reads: bool


class LeaveOutside(NamedTuple):
    """Close all connections with the outside; until something is exposed again, it accepts none."""


Action = (
    AddHost
    | AddSentinel
    | AddApplication
    | AddClusterApplication
    | AddProgram
    | Remove
    | Start
    | Crash
    | Terminate
    | Pause
    | Continue
    | PullPlug
    | Wipe
    | WriteFile
    | RemoveFile
    | Directives
    | SetClock
    | DiskLimit
    | SetLink
    | Cut
    | Heal
    | ClosePort
    | OpenPort
    | Readdress
    | OpenClient
    | OpenClientAt
    | FailHandshake
    | SendCommand
    | RawBytes
    | CloseClient
    | Expose
    | OutsideOpens
    | OutsideSends
    | OutsideEnds
    | OutsideAnswers
    | OutsideReads
    | LeaveOutside
    | ChooseNext
    | HoldMessage
    | ReleaseMessage
    | DelayMessage
    | DropMessage
)

ACTIONS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        AddHost,
        AddSentinel,
        AddApplication,
        AddClusterApplication,
        AddProgram,
        Remove,
        Start,
        Crash,
        Terminate,
        Pause,
        Continue,
        PullPlug,
        Wipe,
        WriteFile,
        RemoveFile,
        Directives,
        SetClock,
        DiskLimit,
        SetLink,
        Cut,
        Heal,
        ClosePort,
        OpenPort,
        Readdress,
        OpenClient,
        OpenClientAt,
        FailHandshake,
        SendCommand,
        RawBytes,
        CloseClient,
        Expose,
        OutsideOpens,
        OutsideSends,
        OutsideEnds,
        OutsideAnswers,
        OutsideReads,
        LeaveOutside,
        ChooseNext,
        HoldMessage,
        ReleaseMessage,
        DelayMessage,
        DropMessage,
    )
}
ACTIONS["Command"] = SendCommand  # its name in files of earlier versions


class ActionError(Exception):
    """An action is impossible; the text is the reason. Nothing has changed."""
