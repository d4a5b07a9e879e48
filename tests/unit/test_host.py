"""The lesson's server in its child process, over real sockets."""

import socket
import threading
from collections.abc import Iterator

import pytest

from engine.errors import ReplyError
from engine.events import CommandExecuted
from engine.resp import encode_command
from tutor.host import HostError, LessonServer, Undone


class Room:
    """A lesson's server and what it told."""

    def __init__(self, directory: str) -> None:
        self.events: list[object] = []
        self.told = threading.Condition()
        self.server = LessonServer.start(directory, on_event=self.hear, seed=5)

    def hear(self, event: object) -> None:
        with self.told:
            self.events.append(event)
            self.told.notify_all()

    def wait_for(self, kind: type) -> object:
        with self.told:
            assert self.told.wait_for(lambda: any(isinstance(event, kind) for event in self.events), 20)
            return next(event for event in self.events if isinstance(event, kind))


@pytest.fixture
def room(tmp_path) -> Iterator[Room]:
    held = Room(str(tmp_path))
    yield held
    held.server.stop()


def ask(sock: socket.socket, line: str) -> bytes:
    sock.sendall(encode_command(line.encode().split()))
    return sock.recv(65536)


def test_undo_keeps_terminals_and_closes_strangers(room: Room) -> None:
    terminal = room.server.connect()
    stranger = socket.create_connection((room.server.host, room.server.port))
    assert ask(terminal, "SET k 1") == b"+OK\r\n"
    place = room.server.mark()
    assert ask(terminal, "SET k 2") == b"+OK\r\n"
    assert ask(stranger, "GET k") == b"$1\r\n2\r\n"
    assert room.server.peek([b"GET", b"k"]) == b"2"
    assert room.server.undo(place) == 1
    assert ask(terminal, "GET k") == b"$1\r\n1\r\n"
    assert b"went back in time" in stranger.recv(4096)
    assert stranger.recv(4096) == b""
    undone = room.wait_for(Undone)
    assert isinstance(undone, Undone)
    assert undone.closed == 1
    terminal.close()
    stranger.close()


def test_events_tell_what_happened(room: Room) -> None:
    terminal = room.server.connect()
    ask(terminal, "LPUSH l a")
    event = room.wait_for(CommandExecuted)
    assert isinstance(event, CommandExecuted)
    assert event.argv == [b"LPUSH", b"l", b"a"]
    terminal.close()


def test_errors_come_back(room: Room) -> None:
    assert isinstance(room.server.peek([b"NOSUCH"]), ReplyError)
    with pytest.raises(HostError):
        room.server.undo(10**9)


def test_a_bad_configuration_is_said(tmp_path) -> None:
    with pytest.raises(HostError, match="argument couldn't be parsed"):
        LessonServer.start(str(tmp_path), ("--maxclients", "x"))
