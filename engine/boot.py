"""Starting a process in any world: configuration, users, ports, data.

    read_config   redis-server's arguments and file → configuration
    boot          modules and users → ports → data on disk → ready

A world describes in a `Starting` what it does differently: logging, opening ports, preparations before loading;
a `Role` describes the differences between a server and a Sentinel.
"""

from collections.abc import Collection
from typing import Protocol

from engine.clients.acl import check_user_line
from engine.commands.reconfigure import load_modules, load_users
from engine.config import CommandLine, Config, Surroundings, load_config
from engine.node import Node
from engine.persistence.snapshots import LoadError
from engine.table.declarations import SERVER


class StartError(Exception):
    """The process cannot start; `lines` are for the log, which may already contain the reason."""

    def __init__(self, reason: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.lines = lines


class Role:
    """The kind of a process: a server, unless a subclass overrides it. Created once per process, before its node."""

    name = "server"
    letter = ""  # in the log; empty: M or S, depending on the replication role
    table = SERVER
    state_in_file = False  # it keeps its state in its configuration file, which must exist and be writable

    def defaults(self, config: Config) -> None:
        """Set the defaults that differ from those of a server."""

    def take_line(self, number: int, text: bytes, argv: list[bytes]) -> bool:
        """Parse a `sentinel` line of the file. Returns False if such lines are not allowed."""
        return False

    def configured(self, surroundings: Surroundings, now: int) -> None:
        """Called when the configuration is complete. Raises FatalConfigError."""

    def node(self, config: Config, seed: int, now: int, clock_offset_us: int = 0) -> Node:
        """Create the node."""
        return Node(config, seed, now, clock_offset_us, self.table)


class RoleSurroundings(Surroundings):
    """The part of `Surroundings` that depends on the role of the process."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def check_user(self, argv: list[bytes]) -> tuple[int, bytes] | None:
        """See `Surroundings`."""
        return check_user_line(argv, self.role.table)

    def command_names(self) -> Collection[bytes]:
        """See `Surroundings`."""
        return self.role.table.keys()

    def take_sentinel_line(self, number: int, text: bytes, argv: list[bytes]) -> bool:
        """See `Surroundings`."""
        return self.role.take_line(number, text, argv)


class Starting(Protocol):
    """A world in which a process is starting."""

    def log(self, level: str, text: str) -> None:
        """Write a line to the log."""

    def open_ports(self, config: Config) -> list[str]:
        """Listen as configured. Returns the kinds of listeners for the log. Raises StartError."""

    def initialized(self) -> None:
        """Called when the ports are open, before the data is loaded."""

    def carry_out(self) -> None:
        """Execute the node's effects so far, such as log lines."""

    def now(self) -> int:
        """Return the monotonic time in µs."""


def read_config(
    command_line: CommandLine, directory: str, surroundings: RoleSurroundings, now: int, stdin: bytes | None = None
) -> Config:
    """Return the configuration of a process that starts in a directory. Raises FatalConfigError."""
    config = Config()
    surroundings.role.defaults(config)
    config.dir = directory
    if command_line.config_file is not None:
        config.config_file = command_line.config_file
    load_config(config, command_line, surroundings, stdin)
    surroundings.role.configured(surroundings, now)
    return config


def boot(node: Node, world: Starting) -> None:
    """Start a node that is attached to its world. Raises StartError; the log then contains the reason."""
    config = node.config
    lines = (node.cluster.start() if node.cluster is not None else []) or load_modules(config) or load_users(node)
    world.carry_out()
    try:
        if lines:
            raise StartError("the configuration of users or of the cluster is wrong", tuple(lines))
        kinds = world.open_ports(config)
        world.initialized()
        try:
            node.start(world.now())
        except LoadError as error:
            world.carry_out()
            last_words = (error.last_words,) if error.last_words and not node.exiting else ()
            raise StartError("what is on disk cannot be loaded", last_words) from None
    except StartError as error:
        for line in error.lines:
            world.log("#", line)
        raise
    if node.cluster is not None:
        node.cluster.loaded()
    world.carry_out()
    if node.keeps_data:
        for kind in kinds:
            world.log("*", f"Ready to accept connections {kind}")
