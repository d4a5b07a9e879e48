"""The lesson's server in its child process, over real sockets."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from engine.observe.events import CommandExecuted
from engine.protocol.errors import ReplyError
from engine.protocol.resp import encode_command
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson_server.messages import receive_message
from tutor.lesson_server.parent import HostError, LessonServer, Recovered, Undone


class Room:
    """A lesson's server and what it told."""

    def __init__(self, directory: str) -> None:
        self.events: list[object] = []
        self.told = threading.Condition()
        debug = ("--enable-debug-command", "yes")
        self.server = LessonServer.start(directory, debug, self.hear, seed=5)

    def hear(self, event: object) -> None:
        with self.told:
            self.events.append(event)
            self.told.notify_all()

    def wait_for(self, kind: type) -> object:
        with self.told:
            assert self.told.wait_for(lambda: any(isinstance(event, kind) for event in self.events), 20)
            return next(event for event in self.events if isinstance(event, kind))

    def wait_for_blocked(self) -> None:
        """Wait until what was sent last has been read: a script that runs lets others in when it is late."""
        self.server.inspect([b"PING"])


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
    stranger = socket.socket(socket.AF_UNIX)
    stranger.connect(room.server.path)
    assert ask(terminal, "SET k 1") == b"+OK\r\n"
    place = room.server.mark()
    assert ask(terminal, "SET k 2") == b"+OK\r\n"
    assert ask(stranger, "GET k") == b"$1\r\n2\r\n"
    assert room.server.inspect([b"GET", b"k"]) == b"2"
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
    assert isinstance(room.server.inspect([b"NOSUCH"]), ReplyError)
    with pytest.raises(HostError):
        room.server.undo(10**9)


def test_a_bad_configuration_is_said(tmp_path) -> None:
    with pytest.raises(HostError, match="argument couldn't be parsed"):
        LessonServer.start(str(tmp_path), ("--maxclients", "x"))


# -- its end, whatever the reason


def end_by_kill(room: Room, terminal: socket.socket) -> None:
    os.kill(room.server.pid, signal.SIGKILL)


def end_by(line: str):  # type: ignore[no-untyped-def]
    return lambda room, terminal: ask(terminal, line)


@pytest.mark.parametrize(
    "end",
    [
        end_by_kill,
        end_by("SHUTDOWN"),
        end_by("SHUTDOWN NOSAVE"),
        end_by("DEBUG SEGFAULT"),
        end_by("DEBUG PANIC"),
        end_by("DEBUG RESTART"),
    ],
)
def test_it_recovers_with_the_data_to_the_bit(room: Room, end) -> None:  # type: ignore[no-untyped-def]
    terminal = room.server.connect("a")
    ask(terminal, "XADD s * a 1")
    place = room.server.mark()
    ask(terminal, "SET k v PX 100000000")
    ask(terminal, "SELECT 3")
    ask(terminal, "SADD members 1 2 3 x y z")
    spop = ask(terminal, "SPOP members")
    stream = room.server.inspect([b"XRANGE", b"s", b"-", b"+"])
    end(room, terminal)
    assert room.server.took_along(terminal)
    again = room.server.connect("a")
    assert room.server.inspect([b"XRANGE", b"s", b"-", b"+"]) == stream
    assert room.server.inspect([b"GET", b"k"]) == b"v"
    assert 99_000_000 < room.server.inspect([b"PTTL", b"k"]) <= 100_000_000
    assert room.server.inspect([b"SCARD", b"members"], 3) == 5
    assert room.server.inspect([b"SISMEMBER", b"members", spop.split(b"\r\n")[1]], 3) == 0
    assert ask(again, "GET k") == b"$1\r\nv\r\n"
    recovered = room.wait_for(Recovered)
    assert isinstance(recovered, Recovered)
    assert not recovered.earlier
    # an older place is what it was, the connection's state included
    assert room.server.undo(place) == 0
    assert ask(again, "EXISTS k members") == b":0\r\n"
    assert room.server.inspect([b"XRANGE", b"s", b"-", b"+"]) == stream
    end(room, again)
    assert room.server.inspect([b"XLEN", b"s"]) == 1, "after an undo it recovers to what the undo left"


def test_a_connection_may_end_alone(room: Room) -> None:
    terminal, other = room.server.connect("a"), room.server.connect("b")
    assert ask(other, f"CLIENT KILL ID {room.server.client_id(terminal)}") == b":1\r\n"
    assert terminal.recv(4096) == b""
    assert not room.server.took_along(terminal)
    ask(other, "CONFIG SET busy-reply-threshold 10")
    other.sendall(encode_command([b"EVAL", b"while true do end", b"0"]))
    assert not room.server.took_along(terminal), "a script may run meanwhile"


def test_a_terminal_has_the_connection_of_the_place_again(room: Room) -> None:
    terminal = room.server.connect("a")
    ask(terminal, "SELECT 2")
    ask(terminal, "MULTI")
    ask(terminal, "INCR n")
    place = room.server.mark()
    ask(terminal, "EXEC")
    end_by_kill(room, terminal)
    again = room.server.connect("a")
    assert room.server.undo(place) == 0
    assert ask(again, "EXEC") == b"*1\r\n:1\r\n"
    assert room.server.inspect([b"GET", b"n"], 2) == b"1"


def test_what_waited_or_ran_when_it_ended_has_not_happened(room: Room) -> None:
    waiting, running = room.server.connect("a"), room.server.connect("b")
    ask(running, "CONFIG SET busy-reply-threshold 10")
    ask(running, "SET n 1")
    waiting.sendall(encode_command([b"BLPOP", b"nothing", b"0"]))
    running.sendall(encode_command([b"EVAL", b"redis.call('INCR', 'n') while true do end", b"0"]))
    room.wait_for_blocked()
    end_by_kill(room, running)
    assert room.server.inspect([b"GET", b"n"]) == b"1"
    assert b"blocked_clients:0" in room.server.inspect([b"INFO", b"clients"]).text
    again = room.server.connect("b")
    assert ask(again, "INCR n") == b":2\r\n"


def test_an_undo_leaves_a_script_that_runs(room: Room) -> None:
    terminal = room.server.connect("a")
    ask(terminal, "CONFIG SET busy-reply-threshold 10")
    ask(terminal, "SET n 1")
    place = room.server.mark()
    terminal.sendall(encode_command([b"EVAL", b"redis.call('INCR', 'n') while true do end", b"0"]))
    room.wait_for_blocked()
    room.server.undo(place)
    assert room.server.inspect([b"GET", b"n"]) == b"1"
    assert not any(isinstance(event, Recovered) for event in room.events)
    assert ask(room.server.connect("a"), "INCR n") == b":2\r\n"


def test_a_killed_script_is_not_run_for_ever_when_it_recovers(room: Room) -> None:
    terminal, other = room.server.connect("a"), room.server.connect("b")
    ask(terminal, "CONFIG SET busy-reply-threshold 10")
    terminal.sendall(encode_command([b"EVAL", b"while true do end", b"0"]))
    room.wait_for_blocked()
    while ask(other, "SCRIPT KILL") != b"+OK\r\n":
        pass
    assert b"killed" in terminal.recv(4096)
    ask(other, "SET k v")
    end_by_kill(room, other)
    assert room.server.inspect([b"GET", b"k"]) == b"v"


def test_a_server_without_its_tutor_ends_in_the_middle_of_a_script(tmp_path) -> None:
    ours, theirs = socket.socketpair()
    options = {"machine": None, "socket": str(tmp_path / "s"), "journal": None}
    command = [
        sys.executable,
        "-m",
        "tutor.lesson_server.child",
        str(theirs.fileno()),
        "5",
        str(tmp_path),
        json.dumps(options),
    ]
    process = subprocess.Popen([*command, "--busy-reply-threshold", "10"], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        while not isinstance(receive_message(ours), dict):
            pass
        with socket.socket(socket.AF_UNIX) as running, socket.socket(socket.AF_UNIX) as other:
            running.connect(options["socket"])
            other.connect(options["socket"])
            running.sendall(encode_command([b"EVAL", b"while true do end", b"0"]))
            while not ask(other, "PING").startswith(b"-BUSY"):
                pass
            ours.close()
            assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_no_port_is_open_and_the_socket_is_the_learners_own(room: Room) -> None:
    listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=False).stdout
    assert f"pid={room.server.pid}," not in listening
    assert stat.S_IMODE(os.stat(os.path.dirname(room.server.path)).st_mode) == 0o700
    terminal = room.server.connect("a")
    assert b"addr=127.0.0.1:5" in ask(terminal, "CLIENT INFO")
    assert b"laddr=127.0.0.1:6379" in ask(terminal, "CLIENT INFO")
    assert ask(terminal, "CONFIG GET port") == b"*2\r\n$4\r\nport\r\n$4\r\n6379\r\n"
    assert ask(terminal, "CONFIG SET port 6390") == b"+OK\r\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 6390))


def until(room: Room, section: str, line: bytes) -> None:
    wait_until(lambda: line in room.server.inspect([b"INFO", section.encode()]).text, line.decode())


def test_children_of_what_was_taken_back_do_no_harm(room: Room) -> None:
    """However a snapshot and the undo meet: its number is given again, to the next snapshot."""
    terminal = room.server.connect()
    place = room.server.mark()
    for line in ("BGSAVE", "BGREWRITEAOF", "BGSAVE", "BGREWRITEAOF") * 5:
        assert ask(terminal, line).startswith(b"+Background")
        room.server.undo(place)
        assert ask(terminal, "CLIENT TRACKING ON OPTIN") == b"+OK\r\n"
        assert ask(terminal, "CLIENT CACHING YES") == b"+OK\r\n"
        room.server.undo(place)
    assert not [event for event in room.events if isinstance(event, Recovered)]
    assert ask(terminal, "BGSAVE").startswith(b"+Background")
    until(room, "persistence", b"rdb_bgsave_in_progress:0")
    assert b"rdb_last_bgsave_status:ok" in room.server.inspect([b"INFO", b"persistence"]).text


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_snapshot_of_before_the_place_ends_after_the_undo_too(room: Room, ends_first: bool) -> None:
    terminal = room.server.connect()
    for line in ("CONFIG SET rdb-key-save-delay 100000000", "SET a 1", "BGSAVE"):
        ask(terminal, line)
    place = room.server.mark()
    ask(terminal, "CONFIG SET rdb-key-save-delay 0")
    ask(terminal, "SET b 2")
    child = next(pid for pid in wait_for_children(room.server.pid))
    if ends_first:
        os.kill(child, signal.SIGUSR1)
        until(room, "persistence", b"rdb_bgsave_in_progress:0")
    room.server.undo(place)
    if not ends_first:
        until(room, "persistence", b"rdb_bgsave_in_progress:1")
        os.kill(child, signal.SIGUSR1)
    until(room, "persistence", b"rdb_bgsave_in_progress:0")
    assert ask(terminal, "MGET a b") == b"*2\r\n$1\r\n1\r\n$-1\r\n"
    assert not [event for event in room.events if isinstance(event, Recovered)]


def wait_for_children(pid: int) -> list[int]:
    def children() -> list[int]:
        told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
        return [int(each) for each in told.split()]

    wait_until(lambda: bool(children()), "a child")
    return children()


def test_fsyncs_of_what_was_taken_back_do_no_harm(room: Room) -> None:
    terminal = room.server.connect()
    assert ask(terminal, "CONFIG SET appendonly yes") == b"+OK\r\n"
    until(room, "persistence", b"aof_rewrite_in_progress:0")
    place = room.server.mark()
    for number in range(20):
        ask(terminal, f"SET k {number}")
        room.server.connect().sendall(encode_command([b"WAITAOF", b"1", b"0", b"0"]))  # an fsync begins
        room.server.undo(place)
    ask(terminal, "SET k last")
    assert ask(terminal, "WAITAOF 1 0 0") == b"*2\r\n:1\r\n:0\r\n"
    assert not [event for event in room.events if isinstance(event, Recovered)]
