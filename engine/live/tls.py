"""TLS: contexts from the configuration, and a socket that behaves like a plain one without blocking.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/
"""

import contextlib
import socket
import ssl
import warnings
from typing import TYPE_CHECKING

from engine.commands.reconfigure import TLS_SETTINGS
from engine.config.tls import TlsError, check_settings

if TYPE_CHECKING:
    from engine.config import Config

_PIECE_BYTES = 16 * 1024  # a record; a failed write must be retried with at least as many bytes
_PROTOCOLS = {
    "tlsv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "tlsv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "tlsv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "tlsv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}
_CIPHERSUITES = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
}
_SETTINGS = tuple(name.replace("-", "_") for name in TLS_SETTINGS)


class Contexts:
    """The contexts for a configuration, created on first use and again after a change."""

    def __init__(self) -> None:
        self._made: dict[bool, tuple[tuple[object, ...], ssl.SSLContext]] = {}

    def get(self, config: "Config", server: bool) -> ssl.SSLContext:
        """Return the context for accepted (`server`) or outgoing connections; raises TlsError."""
        settings = tuple(getattr(config, name) for name in _SETTINGS)
        held = self._made.get(server)
        if held is None or held[0] != settings:
            held = self._made[server] = settings, make_context(config, server)
        return held[1]


def make_context(config: "Config", server: bool) -> ssl.SSLContext:
    """Return a context for accepted (`server`) or outgoing connections; raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # servers are identified by address and by the authority's signature
    check_settings(config, server)
    certificate, key, password = config.tls_cert_file, config.tls_key_file, config.tls_key_file_pass
    if not server and config.tls_client_cert_file:
        certificate = config.tls_client_cert_file
        key, password = config.tls_client_key_file, config.tls_client_key_file_pass
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
        raise TlsError(f"Failed to configure TLS: {_reason(error)}") from None
    modes = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "yes": ssl.CERT_REQUIRED}
    context.verify_mode = modes[config.tls_auth_clients if server else "yes"]
    return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    """Load a certificate and its key; raises TlsError with the name of the invalid file."""
    what, path = "certificate", certificate
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)  # accepts only certificates
        what, path = "private key", key
        with open(key, "rb") as file:
            encrypted = b"ENCRYPTED" in file.read()
        try:
            context.load_cert_chain(certificate, key, (password or "").encode())
        except ssl.SSLError as error:
            if encrypted and error.reason != "KEY_VALUES_MISMATCH":
                raise ValueError(
                    "its password is wrong" if password else "it is encrypted, and no password is set"
                ) from None
            raise
    except (OSError, ValueError) as error:
        raise TlsError(f"Failed to load {what}: {path}: {_reason(error)}") from None


# OpenSSL's messages, in different versions, for a file without data between the BEGIN and END lines of PEM.
_NOT_PEM = frozenset({None, "", "NO_START_LINE", "NO_CERTIFICATE_OR_CRL_FOUND"})


def _reason(error: OSError | ValueError) -> str:
    """Return the reason for an error, without the ssl module's formatting."""
    if isinstance(error, ssl.SSLError):
        return "not in PEM format" if error.reason in _NOT_PEM else error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)


def _choose(context: ssl.SSLContext, config: "Config") -> None:
    """Set protocols and ciphers; raises ValueError."""
    wanted = config.tls_protocols.lower().split() or ["tlsv1.2", "tlsv1.3"]
    for name in wanted:
        if name not in _PROTOCOLS:
            raise ValueError(f"Invalid tls-protocols specified: {name}")
    versions = list(_PROTOCOLS)
    first, last = min(map(versions.index, wanted)), max(map(versions.index, wanted))
    with warnings.catch_warnings():  # old protocols are deprecated, but used only if configured
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _PROTOCOLS[versions[first]][0]
        if last < len(versions) - 1:
            context.maximum_version = _PROTOCOLS[versions[last]][0]
        for name in versions[first + 1 : last]:
            if name not in wanted:  # a gap, which can only be expressed by an option
                context.options |= _PROTOCOLS[name][1]
    # Python's selection of ciphers and its preference for the server's order differ from OpenSSL's.
    try:
        context.set_ciphers(config.tls_ciphers or "DEFAULT")
    except ssl.SSLError:
        raise TlsError(f"Failed to configure ciphers: {config.tls_ciphers}") from None
    _check_ciphersuites(config.tls_ciphersuites)
    if config.tls_prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if not config.tls_session_caching:
        context.options |= ssl.OP_NO_TICKET


def _check_ciphersuites(wanted: str) -> None:
    """Refuse TLS 1.3 ciphersuites if none is known, as OpenSSL does; the ssl module cannot select among them."""
    if wanted and _CIPHERSUITES.isdisjoint(name.strip() for name in wanted.split(":")):
        raise TlsError(f"Failed to configure ciphersuites: {wanted}")


class TlsSocket:
    """A TLS connection with the socket methods that the loop uses; none of them blocks.

    The handshake happens during the first reads and writes. A connection that has to wait raises
    BlockingIOError like a plain socket.
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
        self.setblocking = self.sock.setblocking
        self.shutdown = self.sock.shutdown
        self.close = self.sock.close

    def recv(self, size: int) -> bytes:
        """Return at least `size` bytes or all available bytes, including those buffered by OpenSSL, which polls do
        not report.

        It stops even if the peer sends as fast as it is read.
        """
        parts: list[bytes] = []
        received = 0
        try:
            while received < size or self.sock.pending():
                data = self.sock.recv(max(size, _PIECE_BYTES))
                if not data:
                    break
                parts.append(data)
                received += len(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not parts:
                raise BlockingIOError from None
        except OSError:
            if not parts:
                raise  # otherwise it will occur again
        return b"".join(parts)

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the connection accepts now. Returns the number of bytes sent."""
        view = memoryview(data)
        sent = 0
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while sent < len(view):
                sent += self.sock.send(view[sent : sent + _PIECE_BYTES])
        if not sent and len(view):
            raise BlockingIOError
        return sent


class TlsBytes:
    """The server's end of a TLS connection without a socket: bytes from the network in, bytes for it out.

    `taken` are the bytes that must be sent now, also after an error, which the client can be told.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._early = bytearray()  # to be sent once the handshake is done
        self.established = False

    def received(self, data: bytes) -> bytes:
        """Return what arrived bytes contain, b"" if it is not complete. Raises TlsError with OpenSSL's reason."""
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
                self.send(bytes(self._early))
            while part := self._object.read(_PIECE_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if not parts:
                raise TlsError(f"SSL routines::{_reason(error)}") from None
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Encrypt bytes."""
        if not self.established:
            self._early += data
        elif data:
            self._object.write(data)

    def end(self) -> None:
        """Add the alert that tells the client that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()

    def taken(self) -> bytes:
        """Return the encrypted bytes that are to be sent."""
        return self._outgoing.read()
