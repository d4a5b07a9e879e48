"""Server-assisted client-side caching: notifies clients when a key that they may have cached changes.

By default a table records which client read which key; the first change of a key notifies its readers and removes
them. In broadcasting mode reads are not recorded: a client registers prefixes, and at the end of each round of
inputs it is notified of every changed key with such a prefix.

Messages are RESP3 pushes, or are redirected to another connection: pushes in RESP3, in RESP2 messages of the channel
`__redis__:invalidate`.

https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

from typing import Final

from engine.clients import client as flags
from engine.clients.client import Client, TrackingState
from engine.clients.conditions import Conditions
from engine.clients.execution import Execution
from engine.config import Config
from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv, Push, RawReply
from engine.table.declarations import PUBSUB, Command, keys_of

CHANNEL: Final = b"__redis__:invalidate"
OPTIONS: Final = (
    flags.TRACKING_BROKEN_REDIR
    | flags.TRACKING_BCAST
    | flags.TRACKING_OPTIN
    | flags.TRACKING_OPTOUT
    | flags.TRACKING_NOLOOP
)


class Prefix:
    """The clients of a prefix, and the keys with it that changed in this round, each with the client ID (0: none)."""

    __slots__ = ("clients", "keys")

    def __init__(self) -> None:
        self.clients: dict[int, None] = {}
        self.keys: dict[bytes, int] = {}


class Tracking:
    """The tracking clients and their keys."""

    def __init__(
        self, config: Config, connected: dict[int, Client], execution: Execution, conditions: Conditions
    ) -> None:
        self.config = config
        self.connected = connected  # all clients of the node
        self.execution = execution
        self.conditions = conditions
        self.clients: dict[int, None] = {}  # clients in tracking mode
        self.table: dict[bytes, dict[int, None]] = {}
        self.prefixes: dict[bytes, Prefix] = {}
        self.over_limit = 0  # consecutive rounds in which the table was too large

    @property
    def active(self) -> bool:
        """Whether any client uses tracking."""
        return bool(self.clients)

    @property
    def total_keys(self) -> int:
        """The number of keys in the table."""
        return len(self.table)

    @property
    def total_items(self) -> int:
        """The number of readers of all keys."""
        return sum(map(len, self.table.values()))

    @property
    def total_prefixes(self) -> int:
        """The number of registered prefixes."""
        return len(self.prefixes)

    # --- on and off ---------------------------------------------------------------------------------------------

    def enable(self, client: Client, redirect: int, options: int, prefixes: list[bytes]) -> ReplyError | None:
        """Enable tracking for a client, or change its options, which are the client flags TRACKING_*.

        Raises a ReplyError for overlapping prefixes. Redis accepts some of them despite replying with the error;
        in that case the error is returned.
        """
        state = client.tracking or TrackingState(redirect)
        tolerated = self._check_overlap(state, prefixes) if options & flags.TRACKING_BCAST else None
        state.redirect = redirect
        client.tracking = state
        client.flags = client.flags & ~OPTIONS | flags.TRACKING | options
        self.clients[client.id] = None
        for prefix in (prefixes or [b""]) if options & flags.TRACKING_BCAST else []:
            state.prefixes[prefix] = None
            self.prefixes.setdefault(prefix, Prefix()).clients[client.id] = None
        self._changed(client)
        return tolerated

    @staticmethod
    def _check_overlap(state: TrackingState, prefixes: list[bytes]) -> ReplyError | None:
        """Raise, or return, the error for the first prefix that overlaps.

        Redis 7.2 refuses prefixes that overlap with those that the client already tracks, and other prefixes of the
        request that overlap with its first one. For later ones it replies with the error but tracks them
        nevertheless.
        """
        for i, prefix in enumerate(prefixes):
            for held in sorted(state.prefixes):
                if _overlap(prefix, held):
                    raise _overlaps(prefix, b"an existing", held)
            for other in prefixes[i + 1 :]:
                if _overlap(prefix, other):
                    error = _overlaps(prefix, b"another provided", other)
                    if i:
                        return error
                    raise error
        return None

    def disable(self, client: Client) -> None:
        """Disable tracking for a client. Keys that it read stay in the table until they change."""
        if client.id not in self.clients:
            return
        state = client.tracking
        assert state is not None
        for prefix in state.prefixes:
            held = self.prefixes[prefix]
            del held.clients[client.id]
            if not held.clients:
                del self.prefixes[prefix]
        client.tracking = None
        client.flags &= ~(OPTIONS | flags.TRACKING | flags.TRACKING_CACHING)
        del self.clients[client.id]
        self._changed(client)

    def _changed(self, client: Client) -> None:
        client.update_checks()
        self.conditions.tracked = bool(self.clients)
        self.conditions.update_attended()

    def redirection(self, client: Client) -> int:
        """Return the ID of the client that receives the invalidations: 0 for itself, -1 without tracking."""
        return client.tracking.redirect if client.tracking is not None else -1

    # --- recording reads ----------------------------------------------------------------------------------------

    def remember(self, client: Client, command: Command, argv: Argv) -> None:
        """Record that a client reads the keys of a command, unless its options exclude them."""
        held = client.flags
        if not held & flags.TRACKING or held & flags.TRACKING_BCAST or command.flags & PUBSUB:
            return
        if command.group == "scripting":
            return  # the reads of a script are recorded when they happen
        caching = held & flags.TRACKING_CACHING
        if (held & flags.TRACKING_OPTIN and not caching) or (held & flags.TRACKING_OPTOUT and caching):
            return
        try:
            refs = keys_of(command, argv)
        except ReplyError:
            return
        for ref in refs:
            self.table.setdefault(argv[ref.position], {})[client.id] = None

    def changed(self, key: bytes) -> None:
        """Notify the readers of a changed key, and record the key for clients of its prefixes."""
        by = self.execution.client_id()
        for prefix, held in self.prefixes.items():
            if key.startswith(prefix):
                held.keys[key] = by
        readers = self.table.pop(key, None)
        if readers is None:
            return
        for client_id in readers:
            client = self.connected.get(client_id)
            if client is None or not client.flags & flags.TRACKING or client.flags & flags.TRACKING_BCAST:
                continue
            if not (client.flags & flags.TRACKING_NOLOOP and client_id == by):
                self._invalidate(client, [key])

    def flushed(self) -> None:
        """Notify every tracking client that whole databases changed."""
        for client_id in self.clients:
            self._invalidate(self.connected[client_id], None)
        self.table = {}

    def _invalidate(self, client: Client, keys: list[bytes] | None) -> None:
        """Send an invalidation (keys, or None for all). A client's own invalidations follow its reply."""
        if client.is_executing:
            client.invalidations.append(keys)
            self.execution.post_execution = True
        else:
            self._send(client, keys)

    def send_postponed(self, client: Client) -> None:
        """Send the invalidations that were held back until after the reply and the pushes of a client's command."""
        invalidations, client.invalidations = client.invalidations, []
        if client.id in self.connected:
            for keys in invalidations:
                self._send(client, keys)

    def broadcast(self) -> None:
        """Notify the clients of prefixes of the keys that changed in this round."""
        for held in self.prefixes.values():
            if not held.keys:
                continue
            changed, held.keys = held.keys, {}
            for client_id in held.clients:
                client = self.connected[client_id]
                quiet = client.flags & flags.TRACKING_NOLOOP
                keys = [key for key in sorted(changed) if not (quiet and changed[key] == client_id)]
                if keys:
                    self._send(client, keys)

    def limit(self) -> None:
        """Remove and notify readers while the table has more keys than tracking-table-max-keys."""
        most = self.config.tracking_table_max_keys
        if not most or len(self.table) <= most:
            self.over_limit = 0
            return
        for _ in range(100 * (self.over_limit + 1)):
            self.changed_quietly(next(iter(self.table)))
            if len(self.table) <= most:
                self.over_limit = 0
                return
        self.over_limit += 1

    def changed_quietly(self, key: bytes) -> None:
        """Invalidate a key for its readers although it did not change."""
        for client_id in self.table.pop(key):
            client = self.connected.get(client_id)
            if client is not None and client.flags & flags.TRACKING and not client.flags & flags.TRACKING_BCAST:
                self._send(client, [key])

    def _send(self, client: Client, keys: list[bytes] | None) -> None:
        """Send an invalidation of keys (None: all) to a client or to its redirection."""
        redirect = max(0, self.redirection(client))  # tracking may have been disabled since
        target = client
        if redirect:
            redirected = self.connected.get(redirect)
            if redirected is None:
                client.flags |= flags.TRACKING_BROKEN_REDIR
                if client.resp > 2:
                    client.push(Push((b"tracking-redir-broken", redirect)))
                return
            target = redirected
        if target.resp > 2:
            # As in Redis, "all" is encoded in the protocol of the tracking client, even if redirected.
            told = RawReply(b"$-1\r\n") if keys is None and client.resp == 2 else keys
            target.push(Push((b"invalidate", told)))
        elif redirect and target.flags & flags.PUBSUB:
            target.push(Push((b"message", CHANNEL, keys)))


def _overlap(prefix: bytes, other: bytes) -> bool:
    return prefix.startswith(other) or other.startswith(prefix)


def _overlaps(prefix: bytes, which: bytes, other: bytes) -> ReplyError:
    shown = [text.partition(b"\0")[0] for text in (prefix, other)]  # Redis formats them as C strings
    return ReplyError(
        b"ERR Prefix '%b' overlaps with %b prefix '%b'. Prefixes for a single client must not overlap."
        % (shown[0], which, shown[1])
    )
