"""What surrounds the work on a cluster: connections, output, input, time. A process has other ones than a lesson."""

from tutor.client import Connection


class Stopped(Exception):  # noqa: N818
    """The work ends here with an exit status; what was to be said has been said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ClusterSurroundings:
    """Connections, output, input, time."""

    colors = False  # whether lines are colored, as in a terminal of the family of xterm

    def connect(self, host: str, port: int) -> Connection:
        """Return a connection to a server. Raises LinkError."""
        raise NotImplementedError

    def resolve(self, host: str) -> str:
        """Return the address of a host. Raises OSError."""
        raise NotImplementedError

    def out(self, text: str) -> None:
        """Write to standard output, at once."""
        raise NotImplementedError

    def err(self, text: str) -> None:
        """Write to standard error."""
        raise NotImplementedError

    def read(self, size: int) -> bytes:
        """Return what was typed, at most so many bytes and a line; b"" at the end. Raises Stopped."""
        raise NotImplementedError

    def random(self, count: int) -> int:
        """Return a random number below `count`."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Let time pass. Raises Stopped when it was enough."""
        raise NotImplementedError

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""
        raise NotImplementedError
