"""Talking to another server and waiting for its answers, as MIGRATE does."""

import socket

from engine.effects import Exchange

_RECEIVE_BYTES = 64 * 1024


def exchange(effect: Exchange) -> list[bytes] | OSError:
    """Send the requests; returns the lines that came back, or why nothing could be sent."""
    timeout_s = effect.timeout_ms / 1000
    try:
        with socket.create_connection((effect.host, effect.port), timeout_s) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(effect.data)
            return _lines(sock, effect.replies)
    except OSError as error:
        return error


def _lines(sock: socket.socket, wanted: int) -> list[bytes]:
    received = b""
    while received.count(b"\n") < wanted:
        try:
            data = sock.recv(_RECEIVE_BYTES)
        except OSError:
            break
        if not data:
            break
        received += data
    return [line.rstrip(b"\r") for line in received.split(b"\n")[:wanted]][: received.count(b"\n")]
