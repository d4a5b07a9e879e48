"""Sending requests to another server and waiting for the replies, as MIGRATE does.

Connections are kept for a while, so that moving many keys with one command each does not need a connection per key.
"""

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable

from engine.effects import Exchange

_RECEIVE_BYTES = 64 * 1024
_KEPT_MAX = 64
_KEPT_S = 10.0
_Address = tuple[str, int, bool]  # host, port, TLS

# Errors that Python raises for an address before any system call: the name is too long or contains a NUL, or the port
# does not fit in 16 bits.
BAD_ADDRESS = (ValueError, OverflowError)


def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """Connect and wait for the connection; raises OSError."""
    sock = socket.create_connection((host, port), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Exchanges:
    """The connections of a process to the targets of MIGRATE."""

    def __init__(self) -> None:
        self.connect = connect  # replaceable by a program with a different network
        self.kept: dict[_Address, tuple[socket.socket, float]] = {}  # with the time of its last use

    def exchange(self, effect: Exchange, tls_context: Callable[[], ssl.SSLContext]) -> bytes | OSError:
        """Send the requests. Returns the reply bytes, or the error if nothing could be sent."""
        address = effect.host, effect.port, effect.tls
        kept = self.kept.pop(address, None)
        if kept is not None:
            # The other end may have closed the connection: there is no reply, and a new connection is tried.
            received = self._use(kept[0], effect)
            if received:
                return received
        try:
            sock = self.connect(effect.host, effect.port, effect.timeout_ms / 1000)
            if effect.tls:
                sock = tls_context().wrap_socket(sock)
        except OSError as error:
            return error
        except BAD_ADDRESS as error:
            return OSError(errno.EINVAL, str(error))
        return self._use(sock, effect)

    def _use(self, sock: socket.socket, effect: Exchange) -> bytes | OSError:
        """Send and receive; the connection is kept unless an error occurs."""
        try:
            sock.settimeout(effect.timeout_ms / 1000)
            sock.sendall(effect.data)
            received = _receive(sock, effect.complete)
        except OSError as error:
            sock.close()
            return error
        if effect.complete(received) and b"\n-" not in b"\n" + received:
            self.kept[effect.host, effect.port, effect.tls] = sock, time.monotonic()
            while len(self.kept) > _KEPT_MAX:
                self._drop(next(iter(self.kept)))
        else:
            sock.close()
        return received

    def close_idle(self) -> None:
        """Close connections that have not been used for a while."""
        limit = time.monotonic() - _KEPT_S
        for address, (_, used) in list(self.kept.items()):
            if used <= limit:
                self._drop(address)

    def _drop(self, address: _Address) -> None:
        sock, _ = self.kept.pop(address)
        with contextlib.suppress(OSError):
            sock.close()


def _receive(sock: socket.socket, complete: Callable[[bytes], bool]) -> bytes:
    received = b""
    while not complete(received):
        try:
            data = sock.recv(_RECEIVE_BYTES)
        except OSError:
            break
        if not data:
            break
        received += data
    return received
