"""Hello messages: who watches a master, and at which address it is in which configuration.

    172.16.6.21,26379,<ID>,<current epoch>,mymaster,172.16.6.18,6379,<configuration epoch>

A Sentinel publishes them on every master and replica that it knows, and sends them to the other Sentinels. So they
find each other, and the configuration with the highest epoch reaches all.
"""

from engine.config.kinds import to_str
from engine.protocol.errors import ReplyError
from engine.sentinel.addresses import AddressError
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.directives import c_integer, c_unsigned
from engine.sentinel.failover import Failover
from engine.sentinel.instances import Instance, Master, Peer
from engine.sentinel.links import Links
from engine.sentinel.notices import Notices
from engine.sentinel.votes import Votes
from engine.sentinel.watched import Watched

PARTS = 8
PEERS_MAX = 4096  # that a master may have; there is no use for more


class Hello:
    """The messages that come."""

    def __init__(
        self,
        watched: Watched,
        notices: Notices,
        file: ConfigurationFile,
        links: Links,
        votes: Votes,
        failover: Failover,
    ) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.file = file
        self.links = links
        self.votes = votes
        self.failover = failover

    def published(self, instance: Instance, reply: object) -> None:
        """The reply to our own message came: after an error it is sent again at once."""
        if not isinstance(reply, ReplyError):
            instance.last_hello_sent_ms = self.watched.now_ms

    def heard(self, message: bytes) -> None:
        """A message came on a channel: also our own."""
        if self.settings.my_id.encode() not in message:
            self.received(message)

    def received(self, message: bytes) -> None:
        """Take over what a message says that is new."""
        parts = to_str(message).split(",")
        master = self.watched.masters.get(parts[4]) if len(parts) == PARTS else None
        if master is None:
            return
        ip, port, run_id, epoch, _, master_host, master_port, config_epoch = parts
        found = self.watched.at(master.sentinels.values(), ip, c_integer(port), run_id)
        peer = found if isinstance(found, Peer) else self._meet(master, ip, c_integer(port), run_id)
        self.votes.see_epoch(c_unsigned(epoch), master)
        if peer is None:
            return
        if master.config_epoch < c_unsigned(config_epoch):
            master.config_epoch = c_unsigned(config_epoch)
            self._follow(master, peer, master_host, c_integer(master_port))
        peer.last_hello_ms = self.watched.now_ms

    def _meet(self, master: Master, ip: str, port: int, run_id: str) -> Peer | None:
        """Take note of a Sentinel that is new, or at a new address."""
        moved = self.watched.remove_peer(master, run_id)
        if moved:
            self.notices.about("*", "+sentinel-address-switch", master, f"ip {ip} port {port} for {run_id}")
        else:
            other = self.watched.at(master.sentinels.values(), ip, port)
            if other is not None:  # it has a new ID, and the old one is no longer used
                self.notices.about("*", "+sentinel-invalid-addr", other)
                for each in self.watched.masters.values():
                    self.watched.remove_peer(each, other.run_id)
        if len(master.sentinels) >= PEERS_MAX:
            return None
        try:
            peer = self.watched.add_peer(master, run_id, ip, port)
        except AddressError:
            return None
        if moved:
            self._moved_everywhere(peer)
        else:
            self.notices.about("*", "+sentinel", peer)
        self.file.flush()
        return peer

    def _moved_everywhere(self, peer: Peer) -> None:
        """Have a Sentinel be at its new address for all masters that it watches."""
        updated = 0
        for master in self.watched.masters.values():
            twin = master.sentinels.get(peer.run_id)
            if twin is None:
                continue
            self.links.close(twin.link)
            if twin is not peer:
                twin.address = peer.address
                updated += 1
        if updated:
            self.notices.about("*", "+sentinel-address-update", peer, f"{updated} additional matching instances")

    def _follow(self, master: Master, peer: Peer, host: str, port: int) -> None:
        """Take over where a master is in a newer configuration."""
        if port == master.address.port and self.watched.addresses.is_host(master.address, host):
            self.file.flush()  # the epoch must not be lower again after a crash
            return
        self.notices.about("#", "+config-update-from", peer)
        self.notices.switched(master, host, port)
        old = master.address
        self.failover.move(master, host, port)
        self.notices.reconfigure_clients(master, "observer", old, master.address)
