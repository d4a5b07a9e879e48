"""Limits for clients: idle time, pending output, memory. Clients over a limit are disconnected.

Output is checked when it is sent, at the end of a round (`ReplySender.send`), and about once a second (`cron`).

https://redis.io/docs/latest/develop/reference/clients/
"""

from typing import Final

from engine.clients import client as flags
from engine.clients.client import QUERY_ROOM_BYTES, Client, Outbox
from engine.clients.connections import Connections
from engine.clients.describe import describe
from engine.config import OutputLimit
from engine.core import Core
from engine.protocol.resp import BIG_ARGUMENT_BYTES

QUERY_WASTE_BYTES: Final = 4 * 1024  # unused buffer space that may be kept
IDLE_S: Final = 2  # a client idle for longer has its buffers freed
NO_LIMIT: Final = 1 << 62
LEAST_REPLY_BYTES: Final = 1024
PEAK_LASTS_MS: Final = 5000


class ClientLimits:
    """Keeps a node's clients within their limits."""

    def __init__(self, core: Core, clients: dict[int, Client], outbox: Outbox, connections: Connections) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.stats = core.stats
        self.clients = clients
        self.outbox = outbox
        self.connections = connections
        self.least = NO_LIMIT  # output below this size is within all limits
        self.warned_of_browsers_us: int | None = None
        self.turn: list[int] = []  # clients still to check in this round of cron
        self.resizing = True  # reply buffers adapt to their use (DEBUG REPLYBUFFER RESIZING)
        self.peak_lasts_ms = PEAK_LASTS_MS  # negative: forever (DEBUG REPLYBUFFER PEAK-RESET-TIME)
        self.soft_since_s: dict[int, int] = {}  # the second in which a client exceeded its soft limit

    def configured(self) -> None:
        """Apply client-output-buffer-limit."""
        limits = self.config.client_output_buffer_limit
        sizes = [
            size
            for limit in (limits.normal, limits.replica, limits.pubsub)
            for size in (limit.hard_bytes, limit.soft_bytes)
            if size
        ]
        self.least = min(sizes, default=NO_LIMIT)

    def _limit(self, client: Client) -> OutputLimit:
        limits = self.config.client_output_buffer_limit
        if client.flags & flags.REPLICA and not client.flags & flags.MONITOR:
            return limits.replica
        return limits.pubsub if client.flags & flags.PUBSUB else limits.normal

    def enforce_output_limit(self, client: Client, size_bytes: int) -> bool:
        """Disconnect a client whose pending output of this size exceeds its limit. Returns False if disconnected."""
        return size_bytes < self.least or self._enforce_output_limit(client, size_bytes)

    def enforce_reply_limit(self, client: Client, size_bytes: int) -> bool:
        """Disconnect a client if a reply of this size would exceed its limit. Returns False if disconnected."""
        return not client.link or self.enforce_output_limit(client, client.out_bytes + size_bytes)

    def _enforce_output_limit(self, client: Client, size_bytes: int) -> bool:
        limit = self._limit(client)
        hard_bytes = limit.hard_bytes
        if hard_bytes and client.flags & flags.REPLICA:
            # A partial resynchronization may send the whole backlog, without using memory for it.
            hard_bytes = max(hard_bytes, self.config.repl_backlog_size)
        over = bool(hard_bytes and size_bytes >= hard_bytes)
        if limit.soft_bytes and size_bytes >= limit.soft_bytes:
            now_s = self.clock.monotonic_us // 1_000_000
            since_s = self.soft_since_s.setdefault(client.id, now_s)
            over |= now_s - since_s > limit.soft_seconds
        else:
            self.soft_since_s.pop(client.id, None)
        if not over or client.flags & flags.MASTER:
            return True
        self.output.log("#", f"Client {describe(client).decode()} closed for overcoming of output buffer limits.")
        self.stats.output_limit_disconnections += 1
        if client.replica is not None:
            client.replica.leaving = f"{size_bytes} bytes wait for it: over client-output-buffer-limit replica"
        self.connections.close_now(client)
        return False

    def refuse_browser(self, client: Client) -> None:
        """Disconnect a client that speaks HTTP: it may be a browser under attack, and the following data commands."""
        if self.warned_of_browsers_us is None or self.clock.monotonic_us - self.warned_of_browsers_us > 60_000_000:
            self.warned_of_browsers_us = self.clock.monotonic_us
            self.output.log(
                "#",
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to "
                "Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise "
                f"your Redis instance. Connection from {client.peer} aborted.",
            )
        self.connections.close_now(client)

    def forget(self, client: Client) -> None:
        """Delete the state of a disconnected client."""
        self.soft_since_s.pop(client.id, None)

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Check some of the clients; each of them is checked about once a second."""
        if not self.turn:
            self.turn = list(self.clients)
        share = max(5, len(self.clients) // self.config.hz)
        chosen, self.turn = self.turn[:share], self.turn[share:]
        clients, now_us, has_timeout = self.clients, self.clock.monotonic_us, self.config.timeout > 0
        for client_id in chosen:
            client = clients.get(client_id)
            if client is None or not client.link:
                continue
            if has_timeout and self._is_idle(client):
                self.output.log("-", "Closing idle client")
                self.connections.close_now(client)
                continue
            self._resize_query_buffer(client, now_us)
            if self.resizing:
                self._resize_reply_buffer(client, now_us)
            if client.out_bytes >= self.least:
                self._enforce_output_limit(client, client.out_bytes)
            elif self.soft_since_s:
                self.soft_since_s.pop(client.id, None)
        if self.config.maxmemory_clients:
            self.evict()

    def _is_idle(self, client: Client) -> bool:
        spared = flags.REPLICA | flags.MASTER | flags.BLOCKED | flags.PUBSUB
        idle_us = self.clock.monotonic_us - client.last_us
        return not client.flags & spared and idle_us > self.config.timeout * 1_000_000

    @staticmethod
    def _resize_query_buffer(client: Client, now_us: int) -> None:
        """Release buffer space of a client that is idle or sends smaller requests than before.

        In Redis, the size of the buffer also depends on how the bytes arrived. Here it depends only on the requests,
        so equal clients report equal sizes.
        """
        waiting, expected = 0, 1
        if client.requests or client.request is not None:
            waiting = client.query_bytes
            expected = client.request.bulk_length + 2 if client.request is not None else 1
        room = client.query_room
        if room - waiting > QUERY_WASTE_BYTES:
            if now_us // 1_000_000 - client.last_us // 1_000_000 > IDLE_S:
                client.query_room = waiting
            elif room > BIG_ARGUMENT_BYTES and room // 2 > client.query_peak:
                client.query_room = max(QUERY_ROOM_BYTES, waiting, client.query_peak, expected)
        client.query_peak = waiting if waiting > expected else expected

    def _resize_reply_buffer(self, client: Client, now_us: int) -> None:
        """Shrink a reply buffer of which less than half was used recently; double one that was full."""
        size, peak = client.reply_buffer, client.reply_peak
        half = size // 2
        if half >= LEAST_REPLY_BYTES and peak < half:
            client.reply_buffer = max(LEAST_REPLY_BYTES, peak + 1)
            self.stats.reply_buffer_shrinks += 1
        elif peak >= size and size * 2 < flags.REPLY_CHUNK_BYTES * 2:
            client.reply_buffer = min(flags.REPLY_CHUNK_BYTES, size * 2)
            self.stats.reply_buffer_expands += 1
        if 0 <= self.peak_lasts_ms * 1000 <= now_us - client.reply_peak_since_us:
            client.reply_peak = min(client.out_bytes, client.reply_buffer)
            client.reply_peak_since_us = now_us

    # --- memory of all clients ----------------------------------------------------------------------------------

    def limit_bytes(self) -> int:
        """Return the memory limit for all clients together, 0 if none; a negative setting is a percentage."""
        config = self.config
        limit = config.maxmemory_clients
        if limit < 0:
            return config.maxmemory * -limit // 100
        return limit

    def _counted(self) -> list[Client]:
        """Return the clients that count for maxmemory-clients."""
        not_counted = (flags.REPLICA | flags.MASTER) & ~flags.MONITOR
        return [client for client in self.clients.values() if client.link and not client.flags & not_counted]

    def evictable_bytes(self) -> list[int]:
        """Return the sizes of the clients that can be evicted, in bytes."""
        return [client.memory().total for client in self._counted() if not client.flags & flags.NO_EVICT]

    def evict(self) -> None:
        """Disconnect the largest clients until all together are within maxmemory-clients.

        Redis also evicts at exactly the limit, but counts a little less than CLIENT LIST shows: clients are kept if
        the limit is the sum of its figures.
        """
        limit = self.limit_bytes()
        if not limit:
            return
        for client in list(self.outbox.clients):
            if client.link and client.out:  # clients over their own limit are disconnected first
                self.enforce_output_limit(client, client.out_bytes + sum(map(len, client.out)))
        sizes: list[tuple[int, int]] = []
        total = 0
        for client in self._counted():
            size = client.memory().total
            total += size
            if not client.flags & flags.NO_EVICT:
                sizes.append((size, client.id))
        sizes.sort(reverse=True)
        for size, client_id in sizes:
            if total <= limit:
                return
            self.output.log("*", f"Evicting client: {describe(self.clients[client_id]).decode()}")
            self.connections.close_now(self.clients[client_id])
            self.stats.evicted_clients += 1
            total -= size
        if total > limit:
            self.output.log("#", "Over client maxmemory after evicting all evictable clients")
