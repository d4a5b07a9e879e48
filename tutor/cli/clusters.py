"""--cluster: what surrounds the work on a cluster when it is done by a process."""

import os
import random
import socket
import sys
import time

from tutor.cli.options import CliExit, Options
from tutor.client import Connection
from tutor.cluster.subcommands import run
from tutor.cluster.surroundings import ClusterSurroundings
from tutor.prompt import to_bytes


class ProcessSurroundings(ClusterSurroundings):
    """The connections, the output, the input and the clock of this process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.colors = "xterm" in os.environ.get("TERM", "")

    def connect(self, host: str, port: int) -> Connection:
        """Return a connection to a server. Raises LinkError."""
        return Connection.tcp(host, port, tls=self.options.tls)

    def resolve(self, host: str) -> str:
        """Return the address of a host. Raises OSError."""
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return str(found[0][4][0])

    def out(self, text: str) -> None:
        """Write to standard output, at once."""
        try:
            sys.stdout.buffer.write(to_bytes(text))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise CliExit(1) from None

    def err(self, text: str) -> None:
        """Write to standard error."""
        sys.stderr.buffer.write(to_bytes(text))
        sys.stderr.flush()

    def read(self, size: int) -> bytes:
        """Return what was typed, at most so many bytes; b"" at the end."""
        return os.read(sys.stdin.fileno(), size)

    def random(self, count: int) -> int:
        """Return a random number below `count`."""
        return random.randrange(count)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""
        with open(path, "wb") as file:
            file.write(data)


def manage(options: Options) -> int:
    """Run a subcommand of --cluster; returns the exit status."""
    cluster = options.cluster
    cluster.user, cluster.password, cluster.verbose = options.user, options.password, options.verbose
    if options.last_from_stdin:
        cluster.args.append(sys.stdin.read())
    elif options.tag_from_stdin is not None:
        tag = options.tag_from_stdin.decode("utf-8", "surrogateescape")
        if tag not in cluster.args:
            sys.stderr.write("Using -X option but stdin tag not match.\n")
            return 1
        cluster.args[cluster.args.index(tag)] = sys.stdin.read()
    if cluster.from_ask_password:
        import getpass

        cluster.from_password = getpass.getpass("Please input import source node password: ")
    return run(cluster, ProcessSurroundings(options))
