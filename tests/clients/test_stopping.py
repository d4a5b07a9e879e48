"""A server that is told to end does so, whatever its clients do."""

import contextlib
import signal
import socket

from engine.protocol.resp import encode_command
from tests.clients.ours import serve
from tests.waiting import PATIENCE_S

CLIENTS = 200  # more than the seconds that anything is waited for


def test_clients_that_do_not_read_do_not_delay_the_end() -> None:
    with serve(forked=False) as server, contextlib.ExitStack() as stack:
        setting = socket.create_connection(("127.0.0.1", server.port))
        stack.enter_context(setting)
        setting.sendall(encode_command([b"SET", b"big", b"x" * (1 << 20)]))
        assert setting.recv(100) == b"+OK\r\n"
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(encode_command([b"GET", b"big"]))
            assert client.recv(1) == b"$"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
