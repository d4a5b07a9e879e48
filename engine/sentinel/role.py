"""What starting a Sentinel does differently from starting a server."""

from engine.boot import Role
from engine.config import Config, Surroundings, fatal_line
from engine.config.kinds import to_bytes
from engine.node import Node
from engine.sentinel.addresses import Addresses
from engine.sentinel.directives import DirectiveLine, LineError, read_lines
from engine.sentinel.process import SentinelNode
from engine.sentinel.settings import PORT as SENTINEL_PORT
from engine.sentinel.settings import SentinelSettings
from engine.sentinel.watched import Watched
from engine.table.declarations import SENTINEL
from engine.timers import Clock


class SentinelRole(Role):
    """A Sentinel."""

    name = "sentinel"
    letter = "X"
    table = SENTINEL
    state_in_file = True

    def __init__(self) -> None:
        self.lines: list[DirectiveLine] = []
        self.watched: Watched | None = None

    def defaults(self, config: Config) -> None:
        """See `Role`."""
        config.port = SENTINEL_PORT
        config.protected_mode = False

    def take_line(self, number: int, text: bytes, argv: list[bytes]) -> bool:
        """See `Role`."""
        if len(argv) > 1:
            self.lines.append(DirectiveLine(number, text, argv[1:]))
        return True

    def configured(self, surroundings: Surroundings, now: int) -> None:
        """See `Role`."""
        settings = SentinelSettings()
        addresses = Addresses(settings, surroundings.resolve, surroundings.log)
        self.watched = Watched(settings, addresses, Clock(now, 0))
        try:
            read_lines(self.watched, self.lines, surroundings)
        except LineError as error:
            raise fatal_line(error.line.number, error.line.text, to_bytes(error.text)) from None

    def node(self, config: Config, seed: int, now: int, clock_offset_us: int = 0) -> Node:
        """See `Role`."""
        assert self.watched is not None, "the configuration is read first"
        return SentinelNode(config, self.watched, seed, now, clock_offset_us)
