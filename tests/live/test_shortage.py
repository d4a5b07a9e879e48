"""A lack of threads, descriptors and other things that the system gives: the server goes on, and says so once."""

import errno
import os
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from engine.config import Config
from engine.effects import Append, Dial, Sync
from engine.live import files
from engine.live.background import BackgroundSync
from engine.live.loop import Loop
from engine.node import Node
from tests.waiting import PATIENCE_S

NOW = 1_700_000_000_000_000


def refuse(*args: object, **named: object) -> None:
    raise RuntimeError("can't start new thread")


def test_fsyncs_are_done_in_the_foreground_where_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    woken: list[None] = []
    sync = BackgroundSync(lambda: woken.append(None), lambda level, text: lines.append(text))
    path = str(tmp_path / "file")
    files.carry_out(Append(path, b"data"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for ticket in (1, 2, 3):
        sync.start(Sync(path, ticket=ticket, background=True))
    assert list(sync.ended()) == [(1, None), (2, None), (3, None)]
    assert len(woken) == 3
    assert len(lines) == 1
    assert lines[0].startswith("Can't fsync in the background: can't start new thread.")
    monkeypatch.undo()
    done = threading.Event()
    sync._wake = done.set
    sync.start(Sync(path, ticket=4, background=True))
    assert done.wait(PATIENCE_S)
    assert list(sync.ended()) == [(4, None)]
    files.carry_out(Append(str(tmp_path / "other"), b""))


def test_fsyncs_need_no_free_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    sync = BackgroundSync(lambda: None, lambda level, text: lines.append(text))
    path = str(tmp_path / "file")
    files.carry_out(Append(path, b"data"))  # holds the file open

    def none_left(*args: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", none_left)
    sync.start(Sync(path, ticket=1, background=True))
    monkeypatch.undo()
    assert list(sync.ended()) == [(1, None)]
    assert len(lines) == 1
    files.carry_out(Append(str(tmp_path / "other"), b""))


class Full:
    """A listener that has a connection, and for which nothing is left to take it."""

    def __init__(self) -> None:
        self.ends = os.pipe()

    def fileno(self) -> int:
        return self.ends[0]

    def accept(self) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_connections_that_cannot_be_accepted_are_logged_once() -> None:
    lines: Counter[str] = Counter()
    loop = Loop(Node(Config(), 1, NOW), lambda level, text: lines.update([text]))
    listener = Full()
    loop.poller.set(listener.fileno(), True, False, new=True)
    for _ in range(5):
        loop._accept(listener, "tcp")  # type: ignore[arg-type]
    assert lines == {"Accepting client connection: Too many open files": 1}
    loop.poller.forget(listener.fileno())
    for fd in listener.ends:
        os.close(fd)
    loop.close()


def test_a_connection_that_cannot_be_watched_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    loop = Loop(Node(Config(), 1, NOW), lambda level, text: lines.append(text))

    def no_watches(*args: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    client, served = socket.socketpair()
    monkeypatch.setattr(loop.poller, "set", no_watches)
    loop.adopt(served, "127.0.0.1:1", "tcp")
    monkeypatch.undo()
    assert client.recv(1) == b""
    assert not loop.connections
    assert lines == ["Error registering fd event for the new client: No space left on device (addr=127.0.0.1:1)"]
    client.close()
    loop.close()


class Gone(socket.socket):
    """A connection whose peer reset it as soon as it was made."""

    def getpeername(self) -> None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


def test_a_peer_that_is_gone_at_once_has_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(Config(), 1, NOW)
    loop = Loop(node, lambda level, text: None)
    refused: list[str] = []
    monkeypatch.setattr(node, "refused", lambda link, reason, now_us: refused.append(reason))
    with socket.create_server(("127.0.0.1", 0)) as server, monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Gone)
        loop._dial(Dial(7, "127.0.0.1", server.getsockname()[1]))
        while not refused:
            for fd, mask in loop.poller.wait(PATIENCE_S):
                loop._event(fd, mask)
    assert refused == [os.strerror(errno.ENOTCONN)]
    assert not loop.connections
    loop.close()


def test_a_connection_that_cannot_be_watched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(Config(), 1, NOW)
    loop = Loop(node, lambda level, text: None)
    refused: list[str] = []
    monkeypatch.setattr(node, "refused", lambda link, reason, now_us: refused.append(reason))

    def no_watches(*args: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with socket.create_server(("127.0.0.1", 0)) as server, monkeypatch.context() as patch:
        patch.setattr(loop.poller, "set", no_watches)
        loop._dial(Dial(7, "127.0.0.1", server.getsockname()[1]))
    assert refused == [os.strerror(errno.ENOSPC)]
    assert not loop.connections
    loop.close()
