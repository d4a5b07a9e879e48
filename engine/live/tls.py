"""TLS: contexts from the configuration, and a socket that behaves like a plain one without blocking.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/
"""

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

from engine.reconfigure import TLS_SETTINGS

if TYPE_CHECKING:
    from engine.config import Config

_PIECE_BYTES = 16 * 1024  # a record; what OpenSSL could not write has to be offered again at least as long
_PROTOCOLS = {
    "tlsv1": ssl.OP_NO_TLSv1,
    "tlsv1.1": ssl.OP_NO_TLSv1_1,
    "tlsv1.2": ssl.OP_NO_TLSv1_2,
    "tlsv1.3": ssl.OP_NO_TLSv1_3,
}
_SETTINGS = tuple(name.replace("-", "_") for name in TLS_SETTINGS)


class TlsError(OSError):
    """The configuration cannot be used for TLS; the text says why."""


class Contexts:
    """The contexts that a configuration describes, made when they are needed and anew when it has changed."""

    def __init__(self) -> None:
        self._made: dict[bool, tuple[tuple[object, ...], ssl.SSLContext]] = {}

    def get(self, config: "Config", server: bool) -> ssl.SSLContext:
        """Return the context for connections that are accepted (`server`) or made; raises TlsError."""
        settings = tuple(getattr(config, name) for name in _SETTINGS)
        held = self._made.get(server)
        if held is None or held[0] != settings:
            held = self._made[server] = settings, _context(config, server)
        return held[1]


def _context(config: "Config", server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # servers are named by address; who they are, the authority's signature tells
    certificate, key, password = config.tls_cert_file, config.tls_key_file, config.tls_key_file_pass
    if not server and config.tls_client_cert_file:
        certificate = config.tls_client_cert_file
        key, password = config.tls_client_key_file, config.tls_client_key_file_pass
    if server and not certificate:
        raise TlsError("No tls-cert-file configured!")
    if server and not key:
        raise TlsError("No tls-key-file configured!")
    verify = config.tls_auth_clients if server else "yes"
    asked = verify != "no" or config.tls_cluster or config.tls_replication
    if asked and not (config.tls_ca_cert_file or config.tls_ca_cert_dir):
        raise TlsError(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or "
            "tls-auth-clients are enabled!"
        )
    try:
        _choose(context, config)
        if certificate:
            _load_certificate(context, certificate, key or certificate, password)
        if config.tls_ca_cert_file or config.tls_ca_cert_dir:
            context.load_verify_locations(config.tls_ca_cert_file or None, config.tls_ca_cert_dir or None)
        if config.tls_dh_params_file:
            context.load_dh_params(config.tls_dh_params_file)
    except TlsError:
        raise
    except (OSError, ValueError) as error:
        raise TlsError(f"Failed to configure TLS: {error}") from None
    modes = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "yes": ssl.CERT_REQUIRED}
    context.verify_mode = modes[verify]
    return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    """Take a certificate and its key; raises TlsError, which names the file that is wrong."""
    what, path = "certificate", certificate
    try:
        with open(certificate, "rb") as file:
            if b"-----BEGIN CERTIFICATE-----" in file.read():
                what, path = "private key", key
                with open(key, "rb"):
                    pass
        context.load_cert_chain(certificate, key, (password or "").encode())
    except ssl.SSLError as error:
        reason = error.reason.lower().replace("_", " ") if error.reason else "not in PEM format"
        raise TlsError(f"Failed to load {what}: {path}: {reason}") from None
    except (OSError, ValueError) as error:
        raise TlsError(f"Failed to load {what}: {path}: {getattr(error, 'strerror', None) or error}") from None


def _choose(context: ssl.SSLContext, config: "Config") -> None:
    """Choose protocols and ciphers; raises ValueError."""
    wanted = config.tls_protocols.lower().split() or ["tlsv1.2", "tlsv1.3"]
    for name in wanted:
        if name not in _PROTOCOLS:
            raise ValueError(f"Invalid tls-protocols specified: {name}")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    for name, excluded in _PROTOCOLS.items():
        if name not in wanted:
            context.options |= excluded
    # Python's own choice of ciphers, and its preference of the server's, are not OpenSSL's.
    context.set_ciphers(config.tls_ciphers or "DEFAULT")
    if config.tls_prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if not config.tls_session_caching:
        context.options |= ssl.OP_NO_TICKET


class TlsSocket:
    """A TLS connection with the few methods of a socket that the loop uses; none of them blocks.

    The handshake happens by itself with the first reading and writing. A connection that has to wait raises
    BlockingIOError as a plain one does.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server: bool) -> None:
        self.sock = context.wrap_socket(
            sock, server_side=server, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self.sock.setblocking(False)
        self.fileno = self.sock.fileno
        self.getsockopt = self.sock.getsockopt
        self.setsockopt = self.sock.setsockopt
        self.getsockname = self.sock.getsockname
        self.getpeername = self.sock.getpeername
        self.settimeout = self.sock.settimeout
        self.setblocking = self.sock.setblocking
        self.shutdown = self.sock.shutdown
        self.close = self.sock.close

    def recv(self, size: int) -> bytes:
        """Return everything that is there: what stayed within OpenSSL, no poll would ever tell."""
        parts: list[bytes] = []
        try:
            while data := self.sock.recv(max(size, _PIECE_BYTES)):
                parts.append(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not parts:
                raise BlockingIOError from None
        except OSError:
            if not parts:
                raise  # otherwise it is met again
        return b"".join(parts)

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the connection takes now; returns how much that was."""
        view = memoryview(data)
        sent = 0
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while sent < len(view):
                sent += self.sock.send(view[sent : sent + _PIECE_BYTES])
        if not sent and len(view):
            raise BlockingIOError
        return sent

    def sendall(self, data: bytes | bytearray) -> None:
        """Send everything (the socket has been set to block)."""
        self.sock.sendall(data)
