"""What the real process leaves in its log when it dies, or hangs; and what it keeps to other servers."""

import contextlib
import os
import signal
import socket
import ssl
import threading

import pytest

from engine.effects import Exchange
from engine.live.exchange import Exchanges
from tests.crashes.run import Server
from tests.waiting import PATIENCE_S


@contextlib.contextmanager
def running(directory, *settings):
    server = Server(directory, ["--save", "", "--enable-debug-command", "yes", *settings])
    try:
        yield server, server.ready()
    finally:
        if server.process.poll() is None:
            server.kill(everything=True)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_a_report(tmp_path, number):
    with running(tmp_path) as (server, link):
        assert link(b"SET", b"k", b"v") == b"OK"
        if number == signal.SIGABRT:
            os.kill(server.process.pid, number)
        else:
            link.send([[b"DEBUG", b"SEGFAULT"]])
        assert server.process.wait(PATIENCE_S) == -number
        log = (tmp_path / "log").read_text()
    assert f"crashed by signal: {number}" in log and "------ STACK TRACE ------" in log
    assert "db0:keys=1" in log and "REDIS BUG REPORT END" in log


def test_the_watchdog_says_where_a_late_server_is(tmp_path):
    with running(tmp_path) as (_, link):
        assert link(b"CONFIG", b"SET", b"watchdog-period", b"200") == b"OK"
        assert link(b"DEBUG", b"SLEEP", b"0.6") == b"OK"
        assert link(b"CONFIG", b"SET", b"watchdog-period", b"0") == b"OK"
        log = (tmp_path / "log").read_text()
    assert log.count("WATCHDOG TIMER EXPIRED") == 1 and "debugCommand" in log


def test_connections_to_other_servers_are_kept():
    accepted = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            accepted.append(sock)
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    def answer(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sock.recv(100):
                sock.sendall(b"+OK\r\n")

    def no_tls() -> ssl.SSLContext:
        raise AssertionError("nobody asked for TLS")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        host, port = listener.getsockname()
        exchanges = Exchanges()
        effect = Exchange(host, port, b"PING\r\n", lambda received: b"\n" in received, 5000)
        assert [exchanges.exchange(effect, no_tls) for _ in range(3)] == [b"+OK\r\n"] * 3
        assert len(accepted) == 1 and len(exchanges.kept) == 1
        accepted[0].shutdown(socket.SHUT_RDWR)  # a connection that went away meanwhile is replaced
        assert exchanges.exchange(effect, no_tls) == b"+OK\r\n"
        assert len(accepted) == 2
        exchanges.close_idle()
        assert len(exchanges.kept) == 1
        address = (host, port, False)
        exchanges.kept[address] = (exchanges.kept[address][0], -100.0)
        exchanges.close_idle()
        assert not exchanges.kept
