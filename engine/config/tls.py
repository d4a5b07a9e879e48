"""The rules of the TLS directives that need no certificate to be read; both worlds apply them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config import Config

TLS_FAILED = "Failed to configure TLS. Check logs for more info."


class TlsError(OSError):
    """The configuration cannot be used for TLS; the text is the reason."""


def uses_tls(config: "Config") -> bool:
    """Return whether a server needs its certificate: it listens with TLS, or connects with it."""
    return bool(config.tls_port or config.tls_replication or config.tls_cluster)


def check_settings(config: "Config", server: bool) -> None:
    """Refuse settings that are missing for accepted (`server`) or outgoing connections; raises TlsError."""
    if server and not config.tls_cert_file:
        raise TlsError("No tls-cert-file configured!")
    if server and not config.tls_key_file:
        raise TlsError("No tls-key-file configured!")
    verify = not server or config.tls_auth_clients != "no" or config.tls_cluster or config.tls_replication
    if verify and not (config.tls_ca_cert_file or config.tls_ca_cert_dir):
        raise TlsError(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or "
            "tls-auth-clients are enabled!"
        )
