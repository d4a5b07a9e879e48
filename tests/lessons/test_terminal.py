"""A terminal's connection by itself, with a server that the test plays."""

import queue
import socket
from collections.abc import Iterator

import pytest

from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson.terminal import Done, Link
from tutor.prompt import PromptState


class Server:
    """The other end of a terminal's connections, and what the terminal reports, in order."""

    def __init__(self) -> None:
        self.accepted: list[socket.socket] = []
        self.reports: queue.SimpleQueue[Done | str] = queue.SimpleQueue()
        self.comes_back = True
        state = PromptState(host="127.0.0.1", port=6379)
        self.link = Link(
            "a",
            self._connect,
            state,
            lambda rows, unasked: [self.reports.put(row.text) for row in rows],
            lambda: None,
            self.reports.put,
            lambda reply: None,
        )
        self.link.comes_back = self._asked

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.settimeout(PATIENCE_S)
        self.accepted.append(theirs)
        self.reports.put("connected")
        return ours

    def _asked(self, lost: socket.socket) -> bool:
        self.reports.put("asked whether it comes back")
        return self.comes_back

    def reported(self) -> Done | str:
        return self.reports.get(timeout=PATIENCE_S)

    def end_at_shutdown(self) -> None:
        self.link.start()
        assert self.reported() == "connected"
        self.link.submit("SHUTDOWN")
        assert b"SHUTDOWN" in self.accepted[-1].recv(1000)
        self.accepted[-1].close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.link.close()
    for each in server.accepted:
        each.close()


def test_a_server_that_restarts_by_itself_is_not_reported_as_lost(server: Server) -> None:
    server.end_at_shutdown()
    # Asked before the end is reported: who hears of it may act on a server that has ended, but not on the next one.
    assert server.reported() == "asked whether it comes back"
    done = server.reported()
    assert isinstance(done, Done) and done.argv == (b"SHUTDOWN",) and not done.lost
    assert server.reported() == "connected"
    wait_until(lambda: server.link.state.connected, "the prompt knows it")


def test_a_server_that_has_ended_is_reported_as_lost(server: Server) -> None:
    server.comes_back = False
    server.end_at_shutdown()
    assert server.reported() == "asked whether it comes back"
    done = server.reported()
    assert isinstance(done, Done) and done.argv == (b"SHUTDOWN",) and done.lost
    while isinstance(text := server.reported(), str) and text.startswith("asked"):
        pass
    assert text == "Error: Server closed the connection"
    assert not server.link.state.connected
