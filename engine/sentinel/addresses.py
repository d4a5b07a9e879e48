"""Addresses of instances: a name or IP address as it was given, what it resolves to, and a port.

With `resolve-hostnames` a name may stand where otherwise only an IP address may, and is resolved, as in Redis, by a
system call that blocks. An address whose name does not resolve (yet) is kept, with an empty `ip`.
"""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from engine.protocol.caches import cleared_when_idle
from engine.sentinel.settings import SentinelSettings

PORT_MAX = 65535

Lookup = Callable[[str], str]  # returns the IP address of a name; raises OSError


class AddressError(Exception):
    """The address is not valid or does not resolve; `text` has Redis's reason."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Address(NamedTuple):
    """Where an instance is."""

    host: str
    ip: str
    port: int


@cleared_when_idle
@lru_cache(maxsize=1024)
def numeric(host: str) -> str | None:
    """Return an IP address in its usual spelling; None for a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def same(a: Address, b: Address) -> bool:
    """Tell whether two addresses are the same, by what they resolve to or by their names."""
    return a.port == b.port and (a.ip == b.ip or a.host.lower() == b.host.lower())


class Addresses:
    """Makes and compares addresses as the settings demand."""

    def __init__(self, settings: SentinelSettings, lookup: Lookup, log: Callable[[str, str], None]) -> None:
        self.settings = settings
        self.lookup = lookup
        self.log = log

    def resolve(self, host: str) -> str | None:
        """Return the IP address that a host stands for; None if it stands for none."""
        ip = numeric(host)
        if ip is None and self.settings.resolve_hostnames:
            try:
                ip = self.lookup(host)
            except OSError:
                return None
        return ip

    def make(self, host: str, port: int, accept_unresolved: bool = False) -> Address:
        """Return an address. Raises AddressError."""
        if not 0 <= port <= PORT_MAX:
            raise AddressError("Invalid port number.")
        ip = self.resolve(host)
        if ip is None:
            self.log("#", f"Failed to resolve hostname '{host}'")
            if not (self.settings.resolve_hostnames and accept_unresolved):
                raise AddressError("Can't resolve instance hostname.")
            ip = ""
        return Address(host, ip, port)

    def announced(self, address: Address) -> str:
        """Return the host as this Sentinel tells it others."""
        return address.host if self.settings.announce_hostnames else address.ip

    def name(self, address: Address) -> str:
        """Return `host:port`, by which replicas are called."""
        host = self.announced(address)
        return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"

    def is_host(self, address: Address, host: str) -> bool:
        """Return whether a host, as another process names it, is the host of an address."""
        ip = self.resolve(host)
        if ip is None:
            return (address.host if self.settings.resolve_hostnames else address.ip).lower() == host.lower()
        return address.ip.lower() == ip.lower()
