"""Server-assisted client-side caching: who is told when a key it may have cached changes.

By default a table remembers which client read which key; the first change of a key tells its readers and forgets
them. In broadcasting mode nothing is remembered of reads: a client names prefixes, and at the end of each round of
inputs hears of every key with such a prefix that changed.

Messages are RESP3 pushes, or go to another connection: in RESP3 as pushes too, in RESP2 as messages of the channel
`__redis__:invalidate`.

https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine import client as flags
from engine.errors import ReplyError
from engine.resp import Argv, Push, RawReply
from engine.table import PUBSUB, Command, keys_of

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node

CHANNEL = b"__redis__:invalidate"
OPTIONS = (
    flags.TRACKING_BROKEN_REDIR
    | flags.TRACKING_BCAST
    | flags.TRACKING_OPTIN
    | flags.TRACKING_OPTOUT
    | flags.TRACKING_NOLOOP
)


class TrackingState:
    """A tracking client's redirection (0: to itself) and prefixes."""

    __slots__ = ("prefixes", "redirect")

    def __init__(self, redirect: int) -> None:
        self.redirect = redirect
        self.prefixes: dict[bytes, None] = {}


class Prefix:
    """Who listens to a prefix, and which of its keys changed in this round, by whose hand (0: nobody's)."""

    __slots__ = ("clients", "keys")

    def __init__(self) -> None:
        self.clients: dict[int, None] = {}
        self.keys: dict[bytes, int] = {}


class Tracking:
    """Which clients track which keys."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.clients: dict[int, None] = {}
        self.table: dict[bytes, dict[int, None]] = {}
        self.prefixes: dict[bytes, Prefix] = {}
        self.over_limit = 0  # rounds in which the table stayed too large

    @property
    def active(self) -> bool:
        """Whether anybody tracks."""
        return bool(self.clients)

    @property
    def total_keys(self) -> int:
        """Keys whose readers are remembered."""
        return len(self.table)

    @property
    def total_items(self) -> int:
        """Readers that are remembered, over all keys."""
        return sum(map(len, self.table.values()))

    @property
    def total_prefixes(self) -> int:
        """Prefixes that somebody listens to."""
        return len(self.prefixes)

    # --- on and off ---------------------------------------------------------------------------------------------

    def enable(self, client: "Client", redirect: int, options: int, prefixes: list[bytes]) -> None:
        """Start tracking for a client, or change how; `options` are the client flags TRACKING_*."""
        state = client.tracking if isinstance(client.tracking, TrackingState) else TrackingState(redirect)
        if options & flags.TRACKING_BCAST:
            self._check_overlap(state, prefixes)
        state.redirect = redirect
        client.tracking = state
        client.flags = client.flags & ~OPTIONS | flags.TRACKING | options
        self.clients[client.id] = None
        for prefix in (prefixes or [b""]) if options & flags.TRACKING_BCAST else []:
            state.prefixes[prefix] = None
            self.prefixes.setdefault(prefix, Prefix()).clients[client.id] = None
        self._changed(client)

    @staticmethod
    def _check_overlap(state: TrackingState, prefixes: list[bytes]) -> None:
        for i, prefix in enumerate(prefixes):
            for held in state.prefixes:
                if prefix.startswith(held) or held.startswith(prefix):
                    raise ReplyError(
                        b"ERR Prefix '%b' overlaps with an existing prefix '%b'. Prefixes for a single client must "
                        b"not overlap." % (prefix, held)
                    )
            for other in prefixes[i + 1 :]:
                if prefix.startswith(other) or other.startswith(prefix):
                    raise ReplyError(
                        b"ERR Prefix '%b' overlaps with another provided prefix '%b'. Prefixes for a single client "
                        b"must not overlap." % (prefix, other)
                    )

    def disable(self, client: "Client") -> None:
        """Stop tracking for a client. What it read stays in the table until it changes."""
        if client.id not in self.clients:
            return
        state = client.tracking
        assert isinstance(state, TrackingState)
        for prefix in state.prefixes:
            held = self.prefixes[prefix]
            del held.clients[client.id]
            if not held.clients:
                del self.prefixes[prefix]
        client.tracking = None
        client.flags &= ~(OPTIONS | flags.TRACKING | flags.TRACKING_CACHING)
        del self.clients[client.id]
        self._changed(client)

    def _changed(self, client: "Client") -> None:
        client.update_gated()
        self.node.tracks = bool(self.clients)
        self.node.update_attended()

    @staticmethod
    def prefixes_of(client: "Client") -> Iterable[bytes]:
        """Return the prefixes that a client listens to."""
        return client.tracking.prefixes if isinstance(client.tracking, TrackingState) else ()

    def redirection(self, client: "Client") -> int:
        """Return the id of the client that gets this one's invalidations: 0 itself, -1 when it does not track."""
        return client.tracking.redirect if isinstance(client.tracking, TrackingState) else -1

    # --- remembering --------------------------------------------------------------------------------------------

    def remember(self, client: "Client", command: Command, argv: Argv) -> None:
        """Note that a client reads the keys of a command, unless its options leave it out."""
        held = client.flags
        if not held & flags.TRACKING or held & flags.TRACKING_BCAST or command.flags & PUBSUB:
            return
        if command.group == "scripting":
            return  # what a script really reads is noted when it does
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
        """A key changed: tell its readers, and note it for those who listen to its prefix."""
        by = self.node.executing_client_id()
        for prefix, held in self.prefixes.items():
            if key.startswith(prefix):
                held.keys[key] = by
        readers = self.table.pop(key, None)
        if readers is None:
            return
        for client_id in readers:
            client = self.node.clients.get(client_id)
            if client is None or not client.flags & flags.TRACKING or client.flags & flags.TRACKING_BCAST:
                continue
            if not (client.flags & flags.TRACKING_NOLOOP and client_id == by):
                self._send(client, [key])

    def flushed(self) -> None:
        """Tell every tracking client that whole databases changed."""
        for client_id in self.clients:
            self._send(self.node.clients[client_id], None)
        self.table = {}

    def broadcast(self) -> None:
        """Tell the listeners of prefixes what changed in this round."""
        for held in self.prefixes.values():
            if not held.keys:
                continue
            changed, held.keys = held.keys, {}
            for client_id in held.clients:
                client = self.node.clients[client_id]
                quiet = client.flags & flags.TRACKING_NOLOOP
                keys = [key for key in sorted(changed) if not (quiet and changed[key] == client_id)]
                if keys:
                    self._send(client, keys)

    def limit(self) -> None:
        """Forget readers (telling them) while the table has more keys than tracking-table-max-keys."""
        most = self.node.config.tracking_table_max_keys
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
        """Have the readers of a key forget it, though it did not change."""
        for client_id in self.table.pop(key):
            client = self.node.clients.get(client_id)
            if client is not None and client.flags & flags.TRACKING and not client.flags & flags.TRACKING_BCAST:
                self._send(client, [key])

    def _send(self, client: "Client", keys: list[bytes] | None) -> None:
        """Send an invalidation of keys (None: of all) to a client, or where it redirects to."""
        state = client.tracking
        assert isinstance(state, TrackingState)
        target = client
        if state.redirect:
            redirected = self.node.clients.get(state.redirect)
            if redirected is None:
                client.flags |= flags.TRACKING_BROKEN_REDIR
                if client.resp > 2:
                    client.push(Push((b"tracking-redir-broken", state.redirect)))
                return
            target = redirected
        if target.resp > 2:
            # Redis spells "all" in the protocol of whoever tracks, whoever is told.
            told = RawReply(b"$-1\r\n") if keys is None and client.resp == 2 else keys
            target.push(Push((b"invalidate", told)))
        elif state.redirect and target.flags & flags.PUBSUB:
            target.push(Push((b"message", CHANNEL, keys)))
