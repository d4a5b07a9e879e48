"""The server that is killed, the load that it is under, and the looks at what it holds afterwards."""

import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import hiredis

from engine.keyspace.databases import Keyspace
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.protocol.resp import encode_command
from engine.values.rng import Rng
from tests.clients.ours import start_ours
from tests.crashes.model import NAMES, History, State
from tests.real import free_port
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
CLIENTS = 4
PER_DIRECTORY = 12  # kills, before other settings are tried in an empty directory


class CrashError(Exception):
    """Something acknowledged is missing, or a file does not load."""


class Link:
    """A connection to the server; anything that breaks it is an OSError."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader()

    def send(self, commands: list[list[bytes]]) -> None:
        """Send commands in one piece."""
        self.sock.sendall(b"".join(map(encode_command, commands)))

    def reply(self) -> Any:
        """Wait for a reply."""
        while (reply := self.reader.gets()) is False:
            data = self.sock.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self.reader.feed(data)
        return reply

    def __call__(self, *argv: bytes) -> Any:
        self.send([list(argv)])
        return self.reply()


class Server:
    """One life of the server."""

    def __init__(self, directory: Path, settings: list[str]) -> None:
        self.directory = directory
        self.settings = settings
        self.port = free_port()
        arguments = ["--port", str(self.port), "--dir", str(directory), *settings]
        with open(directory / "log", "ab") as log:
            # in a session of its own, so that it can be killed with its children
            self.process = start_ours(arguments, log.fileno())

    def log(self) -> str:
        """Return the last lines of its log."""
        return "\n".join((self.directory / "log").read_text(errors="replace").splitlines()[-25:])

    def ready(self) -> Link:
        """Wait until it serves."""

        def connect() -> Link | None:
            if self.process.poll() is not None:
                raise CrashError(f"the server does not start:\n{self.log()}")
            link = Link(self.port)
            return link if link(b"PING") == b"PONG" else None

        link = wait_until(connect, "the server answers", OSError)
        assert link is not None
        return link

    def kill(self, everything: bool) -> None:
        """End it at once; `everything`: with its children."""
        if everything:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an administrator would."""
        self.process.terminate()
        if self.process.wait(PATIENCE_S) != 0:
            raise CrashError(f"a clean shutdown ended with {self.process.returncode}:\n{self.log()}")


class Run:
    """Many lives."""

    def __init__(self, seed: int, kills: int, directory: str | None, out: TextIO) -> None:
        self.rng = random.Random(seed)
        self.wanted = kills
        self.given_directory = directory
        self.out = out
        self.per_directory = PER_DIRECTORY
        self.kills = 0
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []

    def all(self) -> None:
        """Kill as often as is wanted, with many settings."""
        while self.kills < self.wanted:
            parent = Path(self.given_directory or tempfile.mkdtemp(prefix="crashes-"))
            directory = parent / f"{self.kills}"
            directory.mkdir(parents=True)
            self.one_directory(directory)
            if self.given_directory is None:
                shutil.rmtree(parent)

    def one_directory(self, directory: Path) -> None:
        """Kill a server that goes on with the same files, a number of times."""
        rng = self.rng
        appends = rng.random() < 0.8
        settings = self.settings(appends)
        self.out.write(f"{self.kills:4d} kills; now {' '.join(settings)}\n")
        self.out.flush()
        histories = [History(i, random.Random(rng.random())) for i in range(CLIENTS)]
        for _ in range(self.per_directory):
            self.one_life(directory, settings, histories, appends)
        server = Server(directory, settings)
        try:
            self.look(server, histories)
        except CrashError as failure:
            raise CrashError(f"{failure}\nfiles: {directory}") from None
        finally:
            server.kill(everything=True)

    def settings(self, appends: bool) -> list[str]:
        """Return arguments for a server."""
        rng = self.rng
        chosen = ["--save", rng.choice(("", "1 1"))]
        if appends:
            chosen += ["--appendonly", "yes", "--appendfsync", rng.choice(("always", "everysec", "no"))]
            chosen += ["--aof-use-rdb-preamble", rng.choice(("yes", "no"))]
            chosen += ["--auto-aof-rewrite-min-size", rng.choice(("20kb", "1gb"))]
            chosen += ["--aof-timestamp-enabled", rng.choice(("yes", "no"))]
            chosen += ["--no-appendfsync-on-rewrite", rng.choice(("yes", "no"))]
        if rng.random() < 0.5:
            chosen += ["--rdb-key-save-delay", "10000"]  # children live long enough to be killed
        return chosen

    def one_life(self, directory: Path, settings: list[str], histories: list[History], appends: bool) -> None:
        """Start the server, look at what it holds, load it, and kill it."""
        rng = self.rng
        server = Server(directory, settings)
        try:
            if rng.random() < 0.15:
                time.sleep(rng.random() * 0.6)  # somewhere in its start
                server.kill(everything=True)
                self.kills += 1
                self.done["while it started"] += 1
                return
            link = self.look(server, histories)
            how = self.under_load(server, link, histories, appends)
            if self.problems:
                raise CrashError(self.problems[0])
            self.kills += 1
            self.done[how] += 1
            self.check_snapshot(directory)
        except CrashError as failure:
            raise CrashError(f"{failure}\nfiles: {directory}") from None
        finally:
            if server.process.poll() is None:
                server.kill(everything=True)

    def look(self, server: Server, histories: list[History]) -> Link:
        """Compare what the server holds with what its clients know."""
        link = server.ready()
        for history in histories:
            wrong = history.settle(_held(link, history))
            if wrong:
                raise CrashError(f"{wrong}\n{server.log()}")
        return link

    def under_load(self, server: Server, link: Link, histories: list[History], appends: bool) -> str:
        """Have clients write and children work, and kill the server in the midst of it; returns how."""
        rng = self.rng
        strict = appends and "everysec" not in server.settings
        until = time.monotonic() + rng.random() * 0.5
        threads = [
            threading.Thread(target=self.write, args=(server.port, history, strict, rng.choice((1, 1, 16))))
            for history in histories
        ]
        for thread in threads:
            thread.start()
        children = ""
        try:
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, rng.random() * 0.2))
                if appends and rng.random() < 0.6:
                    link(b"BGREWRITEAOF")
                elif rng.random() < 0.5:
                    link(b"BGSAVE")
                elif not appends:
                    known = [history.acknowledged for history in histories]
                    if link(b"SAVE") == b"OK":
                        for history, count in zip(histories, known):
                            history.durable = count
            known = [history.acknowledged for history in histories]
            told = link(b"INFO", b"persistence").decode()
            if appends and "aof_buffer_length:0" in told:
                # Under everysec writes wait for the fsync under way, and replies do not: what is written counts.
                for history, count in zip(histories, known):
                    history.durable = max(history.durable, count)
            children += ", with a rewrite" if "aof_rewrite_in_progress:1" in told else ""
            children += ", with a save" if "rdb_bgsave_in_progress:1" in told else ""
            clean = rng.random() < 0.1 and appends
            # A child that goes on alone may replace the snapshot later: without the other file that would count.
            everything = not appends or rng.random() < 0.5
            if clean:
                server.stop()
                for history in histories:
                    history.durable = max(history.durable, history.acknowledged)
            else:
                server.kill(everything)
        finally:
            if server.process.poll() is None:
                server.kill(everything=True)
            for thread in threads:
                thread.join()
        return f"{'ended' if clean else 'killed with its children' if everything else 'killed alone'}{children}"

    def write(self, port: int, history: History, strict: bool, depth: int) -> None:
        """Give operations, `depth` at a time, until the connection ends."""
        with contextlib.suppress(OSError):
            link = Link(port)
            while True:
                batch = [history.next() for _ in range(depth)]
                link.send([command for operation in batch for command in operation.commands])
                for operation in batch:
                    for _ in operation.commands:
                        reply = link.reply()
                        if isinstance(reply, Exception):
                            self.problems.append(f"{operation.commands}: {reply}")
                            return
                    history.acknowledged += 1
                    if strict:
                        history.durable = history.acknowledged

    def check_snapshot(self, directory: Path) -> None:
        """Load the snapshot file, whether or not the server will."""
        path = directory / "dump.rdb"
        if not path.exists():
            return
        loader = Loader(Keyspace(16, Rng(1)), RdbLimits())
        loader.feed(path.read_bytes())
        loader.finish()
        self.done["snapshots that loaded"] += 1

    def summary(self) -> str:
        """Return what was done."""
        lines = [f"{self.kills} kills, nothing acknowledged is missing"]
        lines += [f"{count:6d} {what}" for what, count in sorted(self.done.items())]
        return "\n".join(lines)


def _held(link: Link, history: History) -> State:
    """Return what a server holds of a client's keys."""
    held: State = {}
    for name in ("n", "a", "b", "c", "d"):
        if (value := link(b"GET", history.key(name))) is not None:
            held[name] = int(value)
    for name in NAMES:
        if (value := link(b"GET", history.key(name))) is not None:
            held[name] = value.decode()
    for name in ("l", "m"):
        if items := link(b"LRANGE", history.key(name), b"0", b"-1"):
            held[name] = [item.decode() for item in items]
    if flat := link(b"HGETALL", history.key("h")):
        held["h"] = dict(zip(*[iter(word.decode() for word in flat)] * 2))
    return held
