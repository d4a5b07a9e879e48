"""A small synchronous connection to a Redis server: TCP, unix socket or TLS; RESP2 and RESP3.

It is all that redis-cli and the terminal of a lesson need of a client library: it sends commands and reads replies,
one at a time and in order, and hides nothing. Replies are the values of `engine.protocol.resp`. An error reply is a
`ReplyError` *value* and never raised, because a prompt shows it like any other reply. `LinkError`, with the text that
redis-cli shows, is raised.

Pushes (RESP3) come between replies. `on_push` gets them and `read` goes on to the next reply; without one, `read`
returns them like replies, which is what a subscriber wants.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import contextlib
import errno
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.protocol.resp import Push, encode_command
from tutor.prompt.replies import INCOMPLETE, NotRespError, ReplyParser

if TYPE_CHECKING:
    import ssl

Reply = Any


class LinkError(Exception):
    """No connection, or the end of one. The text is redis-cli's: `Connection refused`, `Server closed …`.

    `reset` tells an end that the server or the network brought about from one that bad bytes did.
    """

    def __init__(self, text: str, reset: bool = True) -> None:
        super().__init__(text)
        self.reset = reset


@dataclass(slots=True)
class TLS:
    """How to secure a connection: redis-cli's --sni, --cacert, --cacertdir, --cert, --key, --insecure …"""

    sni: str | None = None
    cacert: str | None = None
    cacertdir: str | None = None
    cert: str | None = None
    key: str | None = None
    ciphers: str | None = None
    ciphersuites: str | None = None
    insecure: bool = False
    wanted: bool = False  # a URI asks for it; files alone do not

    def context(self) -> "ssl.SSLContext":
        """Return the ssl module's form. LinkError says which file or name it cannot use."""
        import ssl  # a fifth of the time to start, and seldom needed

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # redis-cli checks the chain, not the name
        if self.insecure:
            context.verify_mode = ssl.CERT_NONE
        what = "Invalid CA Certificate File/Directory"
        try:
            if self.cacert or self.cacertdir:
                context.load_verify_locations(self.cacert, self.cacertdir)
            else:
                context.load_default_certs()
            if self.cert:
                what = "Invalid client certificate"
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.cert)  # takes certificates alone
            if self.cert and self.key:  # one without the other is not used
                what = "Invalid private key"
                context.load_cert_chain(self.cert, self.key)
            what = "Error while configuring ciphers"
            context.set_ciphers(self.ciphers or "DEFAULT")  # OpenSSL's own choice, which Python's leaves out parts of
        except OSError as error:  # ssl's errors are OSErrors
            raise LinkError(what) from error
        return context


class TLSError(LinkError):
    """The files or names that should secure a connection are of no use."""


class Connection:
    """A connection to one server. Make one with `tcp` or `unix`.

    `timeout` (in seconds, None for no limit) bounds connecting and every wait for bytes; after a timeout (LinkError)
    replies no longer fit their commands, so close the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.on_push: Callable[[Push], None] | None = None
        self._reader = ReplyParser()

    @classmethod
    def tcp(cls, host: str, port: int, *, timeout: float | None = None, tls: TLS | None = None) -> "Connection":
        """Connect to host and port, IPv4 addresses first. Raises LinkError."""
        sock = _connect(host, port, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return cls(_secure(sock, tls) if tls else sock)

    @classmethod
    def unix(cls, path: str, *, timeout: float | None = None, tls: TLS | None = None) -> "Connection":
        """Connect to a unix socket. Raises LinkError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            raise LinkError(_reason(error)) from error
        return cls(_secure(sock, tls) if tls else sock)

    def fileno(self) -> int:
        """Return the socket's number, for select."""
        return self.socket.fileno()

    def close(self) -> None:
        """Hang up; harmless when done twice."""
        self.socket.close()

    def send(self, argv: list[bytes]) -> None:
        """Send one command. Raises LinkError."""
        self.send_raw(encode_command(argv))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. Raises LinkError, unless the server said something before it hung up: read that."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            if not (isinstance(error, BrokenPipeError | ConnectionResetError) and self._hears_the_end()):
                raise LinkError(_reason(error)) from error

    def _hears_the_end(self) -> bool:
        """Take in what came before the other end closed, such as why a server refuses clients; False: nothing."""
        size = 0
        with contextlib.suppress(LinkError):
            while True:
                size += self.receive()
        return size > 0

    def call(self, *args: bytes | str | int) -> Reply:
        """Send a command and return its reply; an error reply is returned, not raised."""
        self.send([arg if isinstance(arg, bytes) else str(arg).encode() for arg in args])
        return self.read()

    def read(self) -> Reply:
        """Return the next reply, waiting for it. Raises LinkError."""
        while True:
            reply = self.buffered()
            if reply is INCOMPLETE:
                self.receive()
            elif isinstance(reply, Push) and self.on_push is not None:
                self.on_push(reply)
            else:
                return reply

    def buffered(self) -> Reply:
        """Return a reply or push that has arrived whole, or INCOMPLETE. Raises LinkError for bad bytes."""
        try:
            return self._reader.next()
        except NotRespError as error:
            raise LinkError(str(error), reset=False) from error

    def receive(self) -> int:
        """Wait for bytes once and keep them; return how many. Raises LinkError at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise LinkError(_reason(error)) from error
        if not data:
            raise LinkError("Server closed the connection")
        self._reader.feed(data)
        return len(data)

    def receive_raw(self, size: int) -> bytes:
        """Return at most `size` bytes past the parser, waiting for the first; b"" at the end of the stream.

        For what is not RESP: a snapshot's bytes. Raises LinkError.
        """
        rest = self._reader.pending()
        if rest:
            self._reader.feed(rest[size:])
            return rest[:size]
        try:
            return self.socket.recv(size)
        except OSError as error:
            raise LinkError(_reason(error)) from error

    def wait(self, *others: int, timeout: float | None = None) -> bool:
        """Wait for bytes on this connection or one of the other descriptors; True if it was this connection."""
        pending = getattr(self.socket, "pending", None)  # TLS may hold bytes that select knows nothing of
        if pending is not None and pending():
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            for descriptor in others:
                selector.register(descriptor, selectors.EVENT_READ)
            ready = selector.select(timeout)
        return any(key.fileobj is self.socket for key, _ in ready)


def _connect(host: str, port: int, timeout: float | None) -> socket.socket:
    failure: Exception = LinkError("Name or service not known")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except socket.gaierror as error:
            failure = LinkError(error.strerror or str(error))
            continue
        except (UnicodeError, OverflowError):
            continue
        for *kind, _, address in addresses:
            sock = socket.socket(*kind)
            sock.settimeout(timeout)
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = LinkError(_reason(error))
                continue
            return sock
        break
    raise failure


def _secure(sock: socket.socket, tls: TLS) -> socket.socket:
    try:
        context = tls.context()
    except LinkError as error:
        sock.close()
        raise TLSError(str(error)) from error
    try:
        return context.wrap_socket(sock, server_hostname=tls.sni)
    except (OSError, ValueError) as error:
        sock.close()
        reason = getattr(error, "reason", None)  # OpenSSL's, as a constant's name
        raise LinkError(f"SSL_connect failed: {reason.lower().replace('_', ' ') if reason else error}") from error


def _reason(error: OSError) -> str:
    if type(error).__module__ == "ssl":  # an alert of TLS, or its end: the number is none of the system's
        return "Server closed the connection"
    if isinstance(error, TimeoutError) and error.errno is None:
        return os.strerror(errno.ETIMEDOUT)
    return os.strerror(error.errno) if error.errno else str(error)
