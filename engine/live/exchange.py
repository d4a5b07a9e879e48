"""Talking to another server and waiting for its answers, as MIGRATE does.

Connections are kept for a while: whoever moves many keys, one command each, need not begin anew for every one.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from engine.effects import Exchange

_RECEIVE_BYTES = 64 * 1024
_KEPT_MAX = 64
_KEPT_S = 10.0
_Address = tuple[str, int, bool]  # host, port, TLS


class Exchanges:
    """The connections of a process to servers that it gives keys to."""

    def __init__(self) -> None:
        self.kept: dict[_Address, tuple[socket.socket, float]] = {}  # with the time of their last use

    def exchange(self, effect: Exchange, tls_context: Callable[[], ssl.SSLContext]) -> list[bytes] | OSError:
        """Send the requests; returns the lines that came back, or why nothing could be sent."""
        address = effect.host, effect.port, effect.tls
        kept = self.kept.pop(address, None)
        if kept is not None:
            # The other side may have hung up meanwhile: then no line comes, and a new connection is tried.
            lines = self._use(kept[0], effect)
            if lines:
                return lines
        try:
            sock = socket.create_connection((effect.host, effect.port), effect.timeout_ms / 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if effect.tls:
                sock = tls_context().wrap_socket(sock)
        except OSError as error:
            return error
        return self._use(sock, effect)

    def _use(self, sock: socket.socket, effect: Exchange) -> list[bytes] | OSError:
        """Send and receive; the connection is kept if all went well."""
        try:
            sock.settimeout(effect.timeout_ms / 1000)
            sock.sendall(effect.data)
            lines = _lines(sock, effect.replies)
        except OSError as error:
            sock.close()
            return error
        if len(lines) == effect.replies and not any(line.startswith(b"-") for line in lines):
            self.kept[effect.host, effect.port, effect.tls] = sock, time.monotonic()
            while len(self.kept) > _KEPT_MAX:
                self._drop(next(iter(self.kept)))
        else:
            sock.close()
        return lines

    def close_idle(self) -> None:
        """Close what nobody has used for a while."""
        limit = time.monotonic() - _KEPT_S
        for address, (_, used) in list(self.kept.items()):
            if used <= limit:
                self._drop(address)

    def _drop(self, address: _Address) -> None:
        sock, _ = self.kept.pop(address)
        with contextlib.suppress(OSError):
            sock.close()


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
