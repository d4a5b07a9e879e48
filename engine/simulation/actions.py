"""What somebody does to a simulated world: the learner, a scenario, a test. Plain data; times in µs."""

from typing import NamedTuple


class AddHost(NamedTuple):
    """Put a machine on the network. Its redis.conf holds the directives; `address` is `172.16.6.18:6379`."""

    name: str
    address: str
    directives: tuple[str, ...] = ()


class Start(NamedTuple):
    """Start the server of a host, on what its disk holds; switches the machine on first if it has no power."""

    host: str


class Crash(NamedTuple):
    """Kill a server at once (SIGKILL). The machine stays up: it ends the connections, and its disk keeps all."""

    host: str


class Terminate(NamedTuple):
    """Ask a server to shut down (SIGTERM)."""

    host: str


class Pause(NamedTuple):
    """Stop a process (SIGSTOP): it does nothing, and its connections stay."""

    host: str


class Continue(NamedTuple):
    """Let a stopped process go on (SIGCONT)."""

    host: str


class PullPlug(NamedTuple):
    """Cut a machine's power: the process is gone without a word on the network, and so is what was not fsynced.

    With `torn` some of the bytes that were not fsynced may have reached the disk, cut anywhere. With `after_effects`
    the power fails in the middle of a round: when so many more effects have been carried out.
    """

    host: str
    torn: bool = False
    after_effects: int = 0


class Wipe(NamedTuple):
    """Forget everything on the disk of a host whose server does not run, its configuration excepted."""

    host: str


class Directives(NamedTuple):
    """Write a new redis.conf for the next start of a host."""

    host: str
    directives: tuple[str, ...]


class DiskLimit(NamedTuple):
    """Give a disk a size in bytes; 0: no limit. What does not fit fails with ENOSPC."""

    host: str
    size_bytes: int


class SetLink(NamedTuple):
    """Set a link's latency (one way) and bandwidth (0: without limit), for what is sent from now on."""

    a: str
    b: str
    latency_us: int
    bytes_per_s: int = 0


class Cut(NamedTuple):
    """Break the network between two hosts.

    "silent": bytes are held until the link heals, and nobody is told. "reset": open connections end at once, and the
    link goes on working. "half-open": the connections are forgotten and bytes get lost until the link heals; "both"
    ends go on believing in them, or with a direction only its first end, while the other is told.
    """

    a: str
    b: str
    kind: str = "silent"
    direction: str = "both"


class Heal(NamedTuple):
    """Mend the network between two hosts: what was held arrives, what was forgotten is answered by a reset."""

    a: str
    b: str


class OpenClient(NamedTuple):
    """Connect a client, which is a host of its own on the network, to a server."""

    client: str
    host: str


class Command(NamedTuple):
    """Send a command from a client."""

    client: str
    argv: tuple[bytes, ...]


class RawBytes(NamedTuple):
    """Send bytes from a client as they are."""

    client: str
    data: bytes


class CloseClient(NamedTuple):
    """Close a client's connection."""

    client: str


Action = (
    AddHost
    | Start
    | Crash
    | Terminate
    | Pause
    | Continue
    | PullPlug
    | Wipe
    | Directives
    | DiskLimit
    | SetLink
    | Cut
    | Heal
    | OpenClient
    | Command
    | RawBytes
    | CloseClient
)

ACTIONS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        AddHost,
        Start,
        Crash,
        Terminate,
        Pause,
        Continue,
        PullPlug,
        Wipe,
        Directives,
        DiskLimit,
        SetLink,
        Cut,
        Heal,
        OpenClient,
        Command,
        RawBytes,
        CloseClient,
    )
}


class ActionError(Exception):
    """An action is impossible; the reason is the text. Nothing has changed."""
