"""All masters that a Sentinel watches, with their replicas and Sentinels: adding, resetting, moving.

This is the part of a Sentinel that the configuration file describes. It is created before the process starts, and
does not know how instances are reached: the code that connects to them sets `close`.
"""

from collections.abc import Callable, Iterable, Iterator

from engine.sentinel.addresses import Address, AddressError, Addresses, same
from engine.sentinel.instances import (
    LONG_AGO,
    NONE,
    Instance,
    InstanceLink,
    Master,
    Peer,
    Replica,
)
from engine.sentinel.settings import SentinelSettings
from engine.timers import Clock


def keep_nothing(link: InstanceLink) -> None:
    """Nothing is connected yet."""


class Watched:
    """The masters, by name."""

    def __init__(self, settings: SentinelSettings, addresses: Addresses, clock: Clock) -> None:
        self.settings = settings
        self.addresses = addresses
        self.clock = clock
        self.masters: dict[str, Master] = {}
        self.close: Callable[[InstanceLink], None] = keep_nothing  # ends the connections of a link

    @property
    def now_ms(self) -> int:
        """The monotonic time."""
        return self.clock.monotonic_us // 1000

    def instances(self) -> Iterator[Instance]:
        """Iterate over everything that is watched."""
        for master in self.masters.values():
            yield master
            yield from master.replicas.values()
            yield from master.sentinels.values()

    # --- adding -------------------------------------------------------------------------------------------------

    def add_master(self, name: str, host: str, port: int, quorum: int) -> Master:
        """Watch a master. Raises AddressError."""
        address = self.addresses.make(host, port, accept_unresolved=True)
        if name in self.masters:
            raise AddressError("Duplicate master name.")
        periods = self.settings.periods
        master = Master(name, address, quorum, periods.default_down_after, self.now_ms)
        master.failover_timeout_ms = periods.default_failover_timeout
        self.masters[name] = master
        return master

    def add_replica(self, master: Master, host: str, port: int) -> Replica:
        """Watch a replica of a master. Raises AddressError."""
        address = self.addresses.make(host, port, accept_unresolved=True)
        name = self.addresses.name(address)
        if name in master.replicas:
            raise AddressError("Duplicate hostname and port for replica.")
        replica = master.replicas[name] = Replica(name, address, master, self.now_ms)
        return replica

    def find_replica(self, master: Master, host: str, port: int) -> Replica | None:
        """Return the replica at an address; None if it is not known. Raises AddressError."""
        return master.replicas.get(self.addresses.name(self.addresses.make(host, port)))

    def add_peer(self, master: Master, run_id: str, host: str, port: int) -> Peer:
        """Take note of another Sentinel of a master. Raises AddressError."""
        address = self.addresses.make(host, port, accept_unresolved=True)
        if run_id in master.sentinels:
            raise AddressError("Duplicate runid for sentinel.")
        peer = master.sentinels[run_id] = Peer(run_id, address, master, self.now_ms)
        for other in self.masters.values():  # connections to the same Sentinel are shared
            twin = other.sentinels.get(run_id)
            if other is not master and twin is not None:
                peer.link = twin.link
                peer.link.users += 1
                break
        return peer

    def at(self, instances: Iterable[Instance], host: str, port: int, run_id: str = "") -> Instance | None:
        """Return the first of some instances at an address, and with an ID; None if there is none."""
        try:
            address = self.addresses.make(host, port, accept_unresolved=True)
        except AddressError:
            return None
        for instance in instances:
            if (not run_id or instance.run_id == run_id) and same(instance.address, address):
                return instance
        return None

    # --- removing -----------------------------------------------------------------------------------------------

    def release(self, instance: Instance) -> None:
        """Let go of an instance that no table holds any more, and of all that belong to it."""
        instance.released = True
        if isinstance(instance, Master):
            for each in (*instance.replicas.values(), *instance.sentinels.values()):
                self.release(each)
        instance.link.users -= 1
        if not instance.link.users:
            self.close(instance.link)

    def remove_master(self, name: str) -> None:
        """Watch a master no longer."""
        self.release(self.masters.pop(name))

    def remove_peer(self, master: Master, run_id: str) -> bool:
        """Forget a Sentinel of a master; False if it was not known."""
        peer = master.sentinels.pop(run_id, None)
        if peer is None:
            return False
        self.release(peer)
        return True

    # --- resetting ----------------------------------------------------------------------------------------------

    def reset(self, master: Master, keep_sentinels: bool = False) -> None:
        """Forget what was found out about a master's group, and what was being done with it."""
        for replica in master.replicas.values():
            self.release(replica)
        master.replicas.clear()
        if not keep_sentinels:
            for peer in master.sentinels.values():
                self.release(peer)
            master.sentinels.clear()
        now_ms = self.now_ms
        link = master.link
        self.close(link)
        master.flags = 0
        master.leader = ""
        master.failover_state = NONE
        master.failover_state_change_ms = LONG_AGO
        master.failover_start_ms = LONG_AGO
        master.promoted = None
        master.run_id = master.slave_master_host = ""
        link.waiting_since_ms = link.last_available_ms = link.last_pong_ms = now_ms
        link.last_ping_ms = LONG_AGO
        master.role_reported = master.kind
        master.role_reported_ms = now_ms

    def move(self, master: Master, host: str, port: int) -> list[Replica]:
        """Have a master be at another address, the old one being a replica's; returns all replicas, again.

        Raises AddressError if there is no such address; then nothing has changed.
        """
        address = self.addresses.make(host, port)
        kept: list[Address] = [each.address for each in master.replicas.values() if not same(each.address, address)]
        if not same(address, master.address):
            kept.append(master.address)
        self.reset(master, keep_sentinels=True)
        master.address = address
        master.o_down_since_ms = master.s_down_since_ms = LONG_AGO
        replicas = []
        for each in kept:
            try:
                replicas.append(self.add_replica(master, each.host, each.port))
            except AddressError:
                continue  # it has two names
        return replicas
