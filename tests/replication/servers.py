"""Servers that replicate from each other, ours and real ones, and a proxy between them that can be cut."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from tests.clients.ours import start_ours
from tests.real import Program, free_port
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson_server.forkserver import ForkedProcess

ROOT = Path(__file__).parents[2]
OURS = None  # stands for our own server where a `Program` is asked for


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds; servers may be gone meanwhile."""
    wait_until(condition, what, redis.RedisError)


class Server:
    """A server in a process of its own, which may be stopped and started again on the same port and files."""

    def __init__(self, program: Program | None, *arguments: str) -> None:
        self.program = program
        self.directory = tempfile.TemporaryDirectory(prefix="replication-")
        self.port = free_port()
        self.arguments = list(arguments)
        self.process: ForkedProcess | subprocess.Popen[bytes] | None = None
        self.password: str | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        fast = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--enable-debug-command", "yes"]
        arguments = [
            *["--port", str(self.port), "--dir", self.directory.name, "--bind", "127.0.0.1", "--save", ""],
            *fast,
            *self.arguments,
        ]
        with open(os.path.join(self.directory.name, "log"), "ab") as log:
            if self.program is None:
                self.process = start_ours(arguments, log.fileno())
            else:
                command = [self.program.path, *arguments]
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        self.client: Any = redis.Redis(port=self.port, password=self.password, socket_timeout=PATIENCE_S)
        wait_for(lambda: self._dead() or self.client.ping(), "the server answers")
        assert not self._dead(), "the server did not start"

    def _dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it without a chance to save."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as its `save` configuration says."""
        assert self.process is not None
        with contextlib.suppress(redis.RedisError):
            self.client.execute_command("SHUTDOWN", "NOW")
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it and forget its files."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()

    def follow(self, port: int) -> None:
        """Become a replica of whoever listens there."""
        self.client.execute_command("REPLICAOF", "127.0.0.1", port)

    def info(self, field: str) -> Any:
        """Return a field of INFO."""
        return self.client.info("everything").get(field)

    @property
    def linked(self) -> bool:
        """Whether its link to its master is up."""
        return bool(self.info("master_link_status") == "up")

    def offset(self) -> int:
        """Return how far it is in its history."""
        return int(self.info("master_repl_offset"))

    def data(self) -> dict[tuple[int, bytes], Any]:
        """Return everything it holds in the databases that the tests use."""
        held: dict[tuple[int, bytes], Any] = {}
        with redis.Redis(port=self.port, password=self.password) as client:
            for db in (0, 9):
                client.execute_command("SELECT", db)
                for key in client.execute_command("KEYS", "*"):
                    if client.type(key) == b"zset":  # whose digest depends on how a version writes scores
                        held[db, key] = client.zrange(key, 0, -1, withscores=True)
                    else:
                        held[db, key] = client.execute_command("DEBUG", "DIGEST-VALUE", key)[0]
        return held


@contextlib.contextmanager
def servers(*programs: Program | None, arguments: tuple[str, ...] = ()) -> Iterator[list[Server]]:
    """Run a server for each program, all with the same arguments."""
    started: list[Server] = []
    try:
        for program in programs:
            started.append(Server(program, *arguments))
        yield started
    finally:
        for server in started:
            server.close()


def in_sync(*chain: Server) -> bool:
    """Tell whether servers stand at the same byte of the same history."""
    return len({server.offset() for server in chain}) == 1 and all(server.linked for server in chain[1:])


def settle(*chain: Server) -> None:
    """Wait until all replicas have everything, and check that they hold the same."""
    wait_for(lambda: in_sync(*chain), "all stand at the same offset")
    first, *others = [server.data() for server in chain]
    for other in others:
        assert other == first


class Proxy:
    """A way to a server that can be cut: connections end, and new ones are refused until it is healed."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = True
        self.pairs: dict[socket.socket, socket.socket] = {}
        self.waker, self.wake = socket.socketpair()
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while self.running:
            ready, _, _ = select.select([self.listener, self.waker, *self.pairs], [], [])
            for sock in ready:
                if sock is self.waker:
                    sock.recv(1)
                    if not self.open:
                        self._drop(list(self.pairs))
                elif sock is self.listener:
                    self._accept()
                elif sock in self.pairs:
                    self._pass_on(sock)

    def _accept(self) -> None:
        near, _ = self.listener.accept()
        if not self.open:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE_S)
        except OSError:
            near.close()
            return
        self.pairs[near], self.pairs[far] = far, near

    def _pass_on(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
            if data:
                self.pairs[sock].sendall(data)
                return
        except OSError:
            pass
        self._drop([sock])

    def _drop(self, socks: list[socket.socket]) -> None:
        for sock in socks:
            other = self.pairs.pop(sock, None)
            sock.close()
            if other is not None:
                self.pairs.pop(other, None)
                other.close()

    def cut(self) -> None:
        """End every connection, and take no new ones."""
        self.open = False
        self.wake.send(b"!")

    def heal(self) -> None:
        """Take connections again."""
        self.open = True

    def close(self) -> None:
        """End it."""
        self.running = False
        self.cut()
        self.thread.join(PATIENCE_S)
        for sock in (self.listener, self.waker, self.wake):
            sock.close()


@contextlib.contextmanager
def proxy_to(server: Server) -> Iterator[Proxy]:
    """Run a proxy to a server."""
    proxy = Proxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()
