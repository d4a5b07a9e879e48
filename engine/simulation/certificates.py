"""The certificate and the key of a simulated server, as it has loaded them from its disk.

Handshakes with real clients take place in the process that hosts the world: the bytes in the simulated network are
those that TLS protects. Between simulated servers, this module decides whether they accept each other, by the names
and key identifiers in their certificates: nothing in a simulated world forges a signature. It ignores the dates.

What a server decides by itself, when it starts and on CONFIG SET, must be the same in every run and with every
version of OpenSSL. This module decides it: whether the files are in PEM format, and whether the key belongs to the
certificate.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.commands.reconfigure import TLS_SETTINGS
from engine.config import Config
from engine.config.tls import TlsError, check_settings

CERTIFICATE, KEY = b"CERTIFICATE", b"PRIVATE KEY"
FILES = tuple(name.replace("-", "_") for name in TLS_SETTINGS if name.endswith("-file"))
OTHERS = tuple(name.replace("-", "_") for name in TLS_SETTINGS if not name.endswith("-file"))
_SEQUENCE, _BIT_STRING, _OCTET_STRING, _VERSION = 0x30, 0x03, 0x04, 0xA0
_EXTENSIONS, _KEY_IDENTIFIER = 0xA3, 0x80
_ISSUER, _SUBJECT, _KEY_INFO = 2, 4, 5  # fields of a certificate behind its version


class LoadedTls(NamedTuple):
    """What a server uses for its connections until it is configured again: settings, and the contents of files."""

    settings: dict[str, Any]  # by attribute of `Config`
    files: dict[str, bytes]  # the same


def load(config: Config, read: Callable[[str], bytes]) -> LoadedTls:
    """Return what a configuration names; raises TlsError with the reason why it cannot be used."""
    check_settings(config, server=True)
    settings = {name: getattr(config, name) for name in (*OTHERS, "tls_cluster", "tls_replication")}
    files: dict[str, bytes] = {}
    for name in FILES:  # the certificate and its key first
        path: str = getattr(config, name)
        if path:
            files[name] = _read(name, path, read)
            _check(name, path, files, bool(config.tls_key_file_pass))
    return LoadedTls(settings, files)


def _check(name: str, path: str, files: dict[str, bytes], has_password: bool) -> None:
    """Refuse a file that is not what its setting says; raises TlsError."""
    data = files[name]
    if name == "tls_cert_file" and _pem(data, CERTIFICATE) is None:
        raise TlsError(f"Failed to load certificate: {path}: not in PEM format")
    if name == "tls_key_file":
        private, reason = _pem(data, KEY), ""
        if b"ENCRYPTED" in data:  # with a password, the handshakes will show whether it is right
            reason = "" if has_password else "it is encrypted, and no password is set"
        elif private is None:
            reason = "not in PEM format"
        elif not _belongs(private, _pem(files["tls_cert_file"], CERTIFICATE) or b""):
            reason = "key values mismatch"
        if reason:
            raise TlsError(f"Failed to load private key: {path}: {reason}")
    if name == "tls_ca_cert_file" and _pem(data, CERTIFICATE) is None:
        raise TlsError("Failed to configure TLS: not in PEM format")


def refusal(client: LoadedTls, server: LoadedTls) -> str:
    """Return why a server ends the handshake with another one that connects to it, "" if it does not."""
    if not _trusts(client, server.files["tls_cert_file"]):
        return "SSL routines::tlsv1 alert unknown ca"  # as the client tells it
    certificate = client.files.get("tls_client_cert_file") or client.files["tls_cert_file"]
    if server.settings["tls_auth_clients"] != "no" and not _trusts(server, certificate):
        return "SSL routines::certificate verify failed"
    return ""


def _trusts(loaded: LoadedTls, certificate: bytes) -> bool:
    """Return whether an authority in `tls-ca-cert-file` has signed a certificate; without that file, it has."""
    found, authorities = _pem(certificate, CERTIFICATE), loaded.files.get("tls_ca_cert_file")
    if authorities is None:
        return True
    return found is not None and any(_signed(found, each) for each in _all_pem(authorities, CERTIFICATE))


def _signed(certificate: bytes, authority: bytes) -> bool:
    try:
        theirs, ours = _fields(certificate), _fields(authority)
        if theirs[_ISSUER] != ours[_SUBJECT] or ours[_ISSUER] != ours[_SUBJECT]:
            return False
        named = _authority_key(theirs)
        return named in (b"", hashlib.sha1(_public_key(authority), usedforsecurity=False).digest())
    except (ValueError, IndexError):
        return False


def _authority_key(fields: list[tuple[int, bytes]]) -> bytes:
    """Return the identifier of the key that signed a certificate; b"" if it has none (section 4.2.1.1)."""
    extensions = [content for tag, content in fields if tag == _EXTENSIONS]
    for _, extension in _sequence(extensions[0]) if extensions else ():
        parts = _parts(extension)
        if parts[0][1] == b"\x55\x1d\x23":
            return next((content for tag, content in _sequence(parts[-1][1]) if tag == _KEY_IDENTIFIER), b"")
    return b""


def _read(name: str, path: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(path)
    except OSError as error:
        what = {"tls_cert_file": "load certificate: ", "tls_key_file": "load private key: "}.get(name)
        where = f"{what}{path}" if what else "configure TLS"
        raise TlsError(f"Failed to {where}: {error.strerror}") from None


def _pem(text: bytes, kind: bytes) -> bytes | None:
    """Return the first block of a kind in a PEM file, decoded; None if there is none."""
    return next(iter(_all_pem(text, kind)), None)


def _all_pem(text: bytes, kind: bytes) -> list[bytes]:
    """Return the blocks of a kind in a PEM file up to an invalid one, decoded."""
    blocks: list[bytes] = []
    for found in re.finditer(rb"-----BEGIN (?:[A-Z]+ )?%b-----\s([A-Za-z0-9+/=\s]+)-----END " % kind, text):
        try:
            blocks.append(base64.b64decode(b"".join(found[1].split()), validate=True))
        except binascii.Error:
            break
    return blocks


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and contents of consecutive elements in DER. Raises ValueError."""
    parts: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, size, at = data[at], data[at + 1], at + 2
        if size > 0x80:
            width = size & 0x7F
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + size > len(data):
            raise ValueError("cut off")
        parts.append((tag, data[at : at + size]))
        at += size
    return parts


def _sequence(data: bytes) -> list[tuple[int, bytes]]:
    [(tag, content)] = _parts(data)
    if tag != _SEQUENCE:
        raise ValueError("not a sequence")
    return _parts(content)


def _fields(certificate: bytes) -> list[tuple[int, bytes]]:
    """Return what is signed of a certificate, behind the version (RFC 5280, section 4.1). Raises ValueError."""
    fields = _parts(_sequence(certificate)[0][1])
    return fields[1:] if fields[0][0] == _VERSION else fields


def _public_key(certificate: bytes) -> bytes:
    """Return the public key in a certificate. Raises ValueError."""
    tag, key = _parts(_fields(certificate)[_KEY_INFO][1])[1]
    if tag != _BIT_STRING:
        raise ValueError("not a bit string")
    return key[1:]  # without the number of unused bits


def _belongs(private: bytes, certificate: bytes) -> bool:
    """Return whether a private key is that of a certificate. For a kind of key that is not known here, it is."""
    try:
        public, key = _public_key(certificate), _sequence(private)
        if key[2][0] == _OCTET_STRING:  # PKCS #8 (RFC 5208): version, algorithm, key
            key = _sequence(key[2][1])
        if key[1][0] == _OCTET_STRING:  # ECPrivateKey (RFC 5915): version, secret, [0] curve, [1] public key
            named = [content for tag, content in key[2:] if tag == 0xA1]
            return not named or _parts(named[0])[0][1][1:] == public
        return key[1:3] == _sequence(public)[:2]  # RSAPrivateKey (RFC 8017): version, modulus, exponent, …
    except (ValueError, IndexError):
        return False
