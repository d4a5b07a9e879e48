"""Sentinels as real processes: ours (None), and real ones beside them."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.clients.ours import start_ours
from tests.real import Program, find_servers, free_port, missing
from tests.replication.servers import Server, wait_for
from tests.waiting import PATIENCE_S
from tutor.lesson_server.forkserver import ForkedProcess

NAME = "mymaster"


def real_sentinel(*version: int) -> Program:
    """Return a real Sentinel, of this version of Redis if there is one given, or skip."""
    found = [each for each in find_servers() if each.version[: len(version)] == version]
    found = [each for each in found if each.kind == "redis" or not version]
    if not found and version:
        pytest.skip(f"no Redis {'.'.join(map(str, version))} was found to compare with (REDIS_SERVER names one)")
    if not found:
        missing("a real server")
    return found[0]


class LiveSentinel:
    """A Sentinel in a process of its own, which may be stopped and started again."""

    def __init__(self, program: Program | None, *lines: str) -> None:
        self.program = program
        self.directory = tempfile.TemporaryDirectory(prefix="sentinel-")
        self.folder = Path(self.directory.name)
        self.file = self.folder / "sentinel.conf"
        self.port = free_port()
        head = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", f"logfile {self.folder}/log")
        self.file.write_text("".join(f"{line}\n" for line in (*head, *lines)))
        self.process: ForkedProcess | subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = [str(self.file), "--sentinel"]
        with open(self.folder / "out", "ab") as out:
            if self.program is None:
                self.process = start_ours(arguments, out.fileno())
            else:
                command = [self.program.path, *arguments]
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.client: Any = redis.Redis(port=self.port, socket_timeout=PATIENCE_S, decode_responses=True, protocol=2)
        wait_for(lambda: self.process.poll() is not None or self.client.ping(), "the Sentinel answers")
        assert self.process.poll() is None, (self.folder / "out").read_text()

    def ask(self, *words: Any) -> Any:
        """Return the reply to a command as it came, the text of an error included."""
        connection = self.client.connection_pool.get_connection()
        try:
            connection.send_command(*words)
            return connection.read_response()
        except redis.ResponseError as error:
            return f"{type(error).__name__}: {error}"
        except redis.ConnectionError:
            return "closed"
        finally:
            self.client.connection_pool.release(connection)

    def kill(self) -> None:
        """End it without a chance to do anything."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def master_port(self) -> int:
        """Return where it takes the master to be."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def log(self) -> str:
        """Return its log."""
        return (self.folder / "log").read_text()

    def close(self) -> None:
        """End it and forget its files."""
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()


@contextlib.contextmanager
def sentinels(*programs: Program | None, lines: tuple[str, ...] = ()) -> Iterator[list[LiveSentinel]]:
    """Run a Sentinel for each program, all with the same directives."""
    started: list[LiveSentinel] = []
    try:
        for program in programs:
            started.append(LiveSentinel(program, *lines))
        yield started
    finally:
        for each in started:
            each.close()


def watch(port: int, quorum: int) -> tuple[str, ...]:
    """Return the directives that watch a master, and notice soon that it is down."""
    return (
        f"sentinel monitor {NAME} 127.0.0.1 {port} {quorum}",
        f"sentinel down-after-milliseconds {NAME} 1000",
        f"sentinel failover-timeout {NAME} 6000",
    )


def all_follow(group: list[LiveSentinel], members: list[Server]) -> bool:
    """Return whether all Sentinels name one master, and all other members replicate it."""
    (port,) = named if len(named := {each.master_port() for each in group}) == 1 else (0,)
    return bool(port) and all(
        member.info("master_port") == port and member.linked for member in members if member.port != port
    )


def config_epoch(sentinel: LiveSentinel) -> str:
    """Return the epoch of the configuration that a Sentinel has."""
    fields = sentinel.ask("SENTINEL", "MASTER", NAME)
    return str(dict(zip(*[iter(fields)] * 2, strict=True))["config-epoch"])
