"""The two connections to an instance: one for commands, one to listen for hello messages.

Both log in and set their name first. A missing one is reconnected at most once in a ping period; one that is silent
for too long is closed. The other end may be hostile: an unrequested reply, or one beyond all limits, closes the link.

    every ping period     PING        (half of down-after if that is shorter)
    every 10 s            INFO        (every second from replicas while their master is down)
    every 2 s             PUBLISH __sentinel__:hello …

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from engine.config import Config
from engine.config.kinds import to_bytes, to_str
from engine.links import Dialer
from engine.protocol.conversation import Conversation
from engine.protocol.errors import ReplyError
from engine.protocol.replies import ReplyReader
from engine.protocol.resp import ProtocolError
from engine.sentinel.addresses import Address, AddressError
from engine.sentinel.instances import (
    FAILOVER_IN_PROGRESS,
    O_DOWN,
    DataInstance,
    Instance,
    InstanceLink,
    Master,
    Peer,
    Replica,
)
from engine.sentinel.notices import Notices
from engine.sentinel.settings import HELLO_CHANNEL
from engine.sentinel.watched import Watched

PENDING_MAX = 100  # commands without a reply, for each master that shares a link
RECONF_INFO_PERIOD_MS = 1000
IGNORE = "ignore"  # the kind of a request whose reply says nothing


class InstanceConnection:
    """One of the connections (see `engine.links.LinkHandler`)."""

    def __init__(self, links: "Links", instance: Instance) -> None:
        self.links = links
        self.link = instance.link
        self.instance = instance
        self.conversation: Conversation[Any] = Conversation(ReplyReader())
        self.number = 0
        self.is_open = True  # until it is given up
        self.local = ""  # the near end's address, once it stands

    def ask(self, kind: str, instance: Instance, *argv: str | bytes) -> None:
        """Send a command; `kind` says who deals with the reply."""
        words = [to_bytes(word) if isinstance(word, str) else word for word in argv]
        if instance.master.renamed:
            renamed = instance.master.renamed.get(words[0].decode().lower())
            if renamed is not None:
                words[0] = to_bytes(renamed[1])
        self.conversation.ask(kind, *words, about=instance)
        self.flush()

    def flush(self) -> None:
        """Send what has been asked, once the connection stands."""
        if self.local and self.is_open:
            data = self.conversation.take_outgoing()
            if data:
                self.links.dialer.send(self.number, data)

    def opened(self, peer: str, local: str) -> None:
        """The connection stands."""
        self.local = local
        self.flush()

    def output_pending(self, size_bytes: int) -> None:
        """Nothing depends on it: who does not read does not reply either."""

    def closed(self) -> None:
        """The other end has closed it."""
        self.links.lost(self)

    def refused(self, error: str) -> None:
        """It could not be made."""
        self.links.lost(self)

    def received(self, data: bytes) -> None:
        """Deal with the replies."""
        conversation = self.conversation
        conversation.feed(data)
        try:
            while self.is_open:
                if not conversation.requests:
                    self.unasked()
                    return
                kind, _, instance = conversation.requests[0]
                reply = conversation.next_reply()
                if reply is None:
                    return
                conversation.answered()
                self.answered(kind, instance, reply)
        except ProtocolError:
            self.links.give_up(self)

    def answered(self, kind: str, instance: Instance, reply: Any) -> None:
        """A reply came."""
        raise NotImplementedError

    def unasked(self) -> None:
        """Deal with what comes although no reply is awaited."""
        raise NotImplementedError


class CommandConnection(InstanceConnection):
    """The connection for commands."""

    def ask(self, kind: str, instance: Instance, *argv: str | bytes) -> None:
        """See `InstanceConnection`."""
        self.link.pending_commands += 1
        super().ask(kind, instance, *argv)

    def answered(self, kind: str, instance: Instance, reply: Any) -> None:
        """See `InstanceConnection`."""
        self.link.pending_commands -= 1
        if kind != IGNORE and not instance.released:
            self.links.answers[kind](instance, reply)

    def unasked(self) -> None:
        """No server says anything without being asked."""
        if self.conversation.buffer:
            self.links.give_up(self)


class PubSubConnection(InstanceConnection):
    """The connection that listens."""

    def answered(self, kind: str, instance: Instance, reply: Any) -> None:
        """The replies to AUTH and CLIENT SETNAME say nothing."""

    def unasked(self) -> None:
        """Deal with messages; an error is the reply to SUBSCRIBE."""
        buffer, reader = self.conversation.buffer, self.conversation.take
        while self.is_open and (message := reader(buffer)) is not None:
            if isinstance(message, ReplyError):
                self.links.give_up(self)
                return
            self.link.heard_ms = self.links.watched.now_ms
            if (
                isinstance(message, list)
                and len(message) == 3
                and message[0] == b"message"
                and isinstance(message[1], bytes)
                and isinstance(message[2], bytes)
            ):
                self.links.hello(message[2])


class Links:
    """Connects to the instances, and sends them what is due."""

    answers: dict[str, Callable[[Any, Any], None]]  # what deals with replies, by kind of request
    hello: Callable[[bytes], None]  # deals with a hello message

    def __init__(self, config: Config, watched: Watched, notices: Notices, dialer: Dialer) -> None:
        self.config = config
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.dialer = dialer
        watched.close = self.close

    # --- connecting ---------------------------------------------------------------------------------------------

    def reconnect(self, instance: Instance) -> None:
        """Make the connections that are missing, if it is time."""
        link = instance.link
        if not link.disconnected or not instance.address.port:
            return
        now_ms = self.watched.now_ms
        if now_ms - link.last_attempt_ms < self.settings.periods.ping_period:
            return
        link.last_attempt_ms = now_ms
        if link.commands is None:
            self._look_up_again(instance)
            connection = self._connect(instance, CommandConnection, "cmd")
            if connection is not None:
                link.commands = connection
                link.pending_commands = 0
                link.commands_since_ms = now_ms
                self._introduce(instance, connection, "cmd")
                self.ping(instance)
        if link.pubsub is None and not isinstance(instance, Peer):
            connection = self._connect(instance, PubSubConnection, "pubsub")
            if connection is not None:
                link.pubsub = connection
                link.pubsub_since_ms = now_ms
                self._introduce(instance, connection, "pubsub")
                # No reply is awaited: from here on messages may come.
                subscribe = instance.master.renamed.get("subscribe", ("", "SUBSCRIBE"))[1]
                connection.conversation.say(to_bytes(subscribe), HELLO_CHANNEL)
        link.disconnected = link.commands is None or (link.pubsub is None and not isinstance(instance, Peer))

    def _look_up_again(self, instance: Instance) -> None:
        """Take a new IP address of a host name over."""
        if self.settings.resolve_hostnames:
            with suppress(AddressError):  # the old one may do
                instance.address = self.watched.addresses.make(instance.address.host, instance.address.port)

    def _connect(self, instance: Instance, kind: type[InstanceConnection], name: str) -> InstanceConnection | None:
        address = instance.address
        if not address.ip:
            self.notices.about(".", f"-{name}-link-reconnection", instance, "#Failed to establish connection")
            return None
        connection = kind(self, instance)
        connection.number = self.dialer.dial(
            connection, address.ip, address.port, self.config.tls_replication, self.config.bind_source_addr or ""
        )
        return connection

    def _introduce(self, instance: Instance, connection: InstanceConnection, name: str) -> None:
        """Log in, and say who this is."""
        if isinstance(instance, Peer):
            user, password = self.settings.user, self.settings.password
            if not password:
                user, password = "", to_str(self.config.requirepass)
        else:
            user, password = instance.master.user, instance.master.password
        if password:
            connection.ask(IGNORE, instance, "AUTH", *((user, password) if user else (password,)))
        connection.ask(IGNORE, instance, "CLIENT", "SETNAME", f"sentinel-{self.settings.my_id[:8]}-{name}")

    def lost(self, connection: InstanceConnection) -> None:
        """A connection has ended."""
        if connection.is_open:
            self.give_up(connection)

    def give_up(self, connection: InstanceConnection) -> None:
        """End a connection."""
        link = connection.link
        connection.is_open = False
        self.dialer.hang_up(connection.number)
        if link.commands is connection:
            link.commands = None
            link.pending_commands = 0
        if link.pubsub is connection:
            link.pubsub = None
        link.disconnected = True

    def close(self, link: InstanceLink) -> None:
        """End both connections of a link."""
        for connection in (link.commands, link.pubsub):
            if connection is not None:
                assert isinstance(connection, InstanceConnection)
                self.give_up(connection)

    def close_data(self, master: Master) -> None:
        """Close the connections to a master and its replicas, so that new ones log in again."""
        self.close(master.link)
        for replica in master.replicas.values():
            self.close(replica.link)

    def close_peers(self) -> None:
        """End the connections to all other Sentinels."""
        for master in self.watched.masters.values():
            for peer in master.sentinels.values():
                if not peer.link.disconnected:
                    self.close(peer.link)

    def check(self, instance: Instance, now_ms: int) -> None:
        """Give up connections on which nothing comes although something should have."""
        link, periods = instance.link, self.settings.periods
        if (
            link.waiting_since_ms is not None
            and link.commands is not None
            and now_ms - link.commands_since_ms > periods.min_link_reconnect_period
            and now_ms - link.waiting_since_ms > instance.down_after_ms // 2
            and now_ms - link.last_pong_ms > instance.down_after_ms // 2
        ):
            assert isinstance(link.commands, InstanceConnection)
            self.give_up(link.commands)
        if (
            now_ms - link.heard_ms > periods.publish_period * 3
            and link.pubsub is not None
            and now_ms - link.pubsub_since_ms > periods.min_link_reconnect_period
        ):
            assert isinstance(link.pubsub, InstanceConnection)
            self.give_up(link.pubsub)

    # --- sending ------------------------------------------------------------------------------------------------

    def ask(self, instance: Instance, kind: str, *argv: str | bytes) -> bool:
        """Send a command on the connection for commands; False if there is none."""
        connection = instance.link.commands
        if connection is None:
            return False
        assert isinstance(connection, InstanceConnection)
        connection.ask(kind, instance, *argv)
        return True

    def ping(self, instance: Instance) -> None:
        """Send a PING."""
        link = instance.link
        if self.ask(instance, "ping", "PING"):
            link.last_ping_ms = self.watched.now_ms
            if link.waiting_since_ms is None:
                link.waiting_since_ms = link.last_ping_ms

    def send_hello(self, instance: Instance) -> None:
        """Tell an instance, and through it other Sentinels, about this Sentinel and what it takes for the master."""
        connection = instance.link.commands
        if instance.link.disconnected or connection is None:
            return
        assert isinstance(connection, InstanceConnection)
        settings, config, master = self.settings, self.config, instance.master
        if not settings.announce_ip and not connection.local:
            return  # it does not know its own address yet
        ip = settings.announce_ip or connection.local.rpartition(":")[0].strip("[]")
        port = settings.announce_port or (
            config.tls_port if config.tls_replication and config.tls_port else config.port
        )
        address = master.current_address
        message = (
            f"{ip},{port},{settings.my_id},{settings.current_epoch},"
            f"{master.name},{self.watched.addresses.announced(address)},{address.port},{master.config_epoch}"
        )
        self.ask(instance, "publish", "PUBLISH", HELLO_CHANNEL, message)

    def hasten_hello(self, master: Master) -> None:
        """Have all instances of a master's group told what is new at the next opportunity."""
        for instance in (master, *master.sentinels.values(), *master.replicas.values()):
            instance.last_hello_sent_ms -= self.settings.periods.publish_period + 1

    def send_periodic(self, instance: Instance, now_ms: int) -> None:
        """Send what is due."""
        link, periods = instance.link, self.settings.periods
        if link.disconnected or link.pending_commands >= PENDING_MAX * link.users:
            return
        if isinstance(instance, DataInstance):
            period = periods.info_period
            if isinstance(instance, Replica) and (
                instance.master.flags & (O_DOWN | FAILOVER_IN_PROGRESS) or instance.master_link_down_ms
            ):
                period = RECONF_INFO_PERIOD_MS
            if now_ms - instance.info_refresh_ms > period:
                self.ask(instance, "info", "INFO")
        ping_period = periods.ping_period
        if instance.down_after_ms < ping_period:
            ping_period = instance.down_after_ms
        if now_ms - link.last_pong_ms > ping_period and now_ms - link.last_ping_ms > ping_period // 2:
            self.ping(instance)
        if now_ms - instance.last_hello_sent_ms > periods.publish_period:
            self.send_hello(instance)

    def send_replicaof(self, instance: Instance, address: Address | None) -> bool:
        """Have an instance follow another (None: be a master), remember it, and drop its clients.

        Whether it did so is seen in its INFO.
        """
        if instance.link.commands is None:
            return False
        host, port = (
            ("NO", "ONE") if address is None else (self.watched.addresses.announced(address), str(address.port))
        )
        for argv in (
            ("MULTI",),
            ("SLAVEOF", host, port),
            ("CONFIG", "REWRITE"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("CLIENT", "KILL", "TYPE", "pubsub"),
            ("EXEC",),
        ):
            self.ask(instance, IGNORE, *argv)
        return True
