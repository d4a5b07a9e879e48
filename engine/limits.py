"""What clients may cost: idle time, unread output, memory. Those that cost too much are hung up on.

https://redis.io/docs/latest/develop/reference/clients/
"""

from typing import TYPE_CHECKING

from engine import client as flags

if TYPE_CHECKING:
    from engine.client import Client
    from engine.config import OutputLimit
    from engine.node import Node

QUERY_ROOM_BYTES = 20_474  # what a real server reserves for a client's first request
BIG_REQUEST_BYTES = 32 * 1024
IDLE_S = 2  # a client idle for longer has its buffers given back
NO_LIMIT = 1 << 62
LEAST_REPLY_BYTES = 1024
PEAK_LASTS_MS = 5000


class ClientLimits:
    """Keeps a node's clients within their limits."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.least = NO_LIMIT  # output below this concerns no limit
        self.warned_of_browsers_us: int | None = None
        self.turn: list[int] = []  # clients still to be looked at in this round of cron
        self.resizing = True  # reply buffers follow what is used of them (DEBUG REPLYBUFFER RESIZING)
        self.peak_lasts_ms = PEAK_LASTS_MS  # negative: for ever (DEBUG REPLYBUFFER PEAK-RESET-TIME)
        self.soft_since_s: dict[int, int] = {}  # the second in which a client went over its soft limit

    def configured(self) -> None:
        """Take over client-output-buffer-limit."""
        limits = self.node.config.client_output_buffer_limit
        sizes = [
            size
            for limit in (limits.normal, limits.replica, limits.pubsub)
            for size in (limit.hard_bytes, limit.soft_bytes)
            if size
        ]
        self.least = min(sizes, default=NO_LIMIT)

    def _limit(self, client: "Client") -> "OutputLimit":
        limits = self.node.config.client_output_buffer_limit
        if client.flags & flags.REPLICA and not client.flags & flags.MONITOR:
            return limits.replica
        return limits.pubsub if client.flags & flags.PUBSUB else limits.normal

    def allow_output(self, client: "Client", size_bytes: int) -> bool:
        """Tell whether a client may have this much output waiting, quickly for the many that are far from it."""
        return size_bytes < self.least or self.check_output(client, size_bytes)

    def check_output(self, client: "Client", size_bytes: int) -> bool:
        """Tell whether a client may have this much output waiting; False when it has been hung up on."""
        node = self.node
        limit = self._limit(client)
        hard_bytes = limit.hard_bytes
        if hard_bytes and client.flags & flags.REPLICA:
            # A partial resync may send the whole backlog at once, and takes no memory for it.
            hard_bytes = max(hard_bytes, node.config.repl_backlog_size)
        over = bool(hard_bytes and size_bytes >= hard_bytes)
        if limit.soft_bytes and size_bytes >= limit.soft_bytes:
            now_s = node.now_us // 1_000_000
            since_s = self.soft_since_s.setdefault(client.id, now_s)
            over |= now_s - since_s > limit.soft_seconds
        else:
            self.soft_since_s.pop(client.id, None)
        if not over or client.flags & flags.MASTER:
            return True
        from engine.commands.client import describe

        node.log("#", f"Client {describe(client).decode()} closed for overcoming of output buffer limits.")
        node.stats.output_limit_disconnections += 1
        node.master.note_leaving(client, f"{size_bytes} bytes wait for it: over client-output-buffer-limit replica")
        node.close_now(client)
        return False

    def refuse_browser(self, client: "Client") -> None:
        """Hang up on who speaks HTTP: a browser may have been lured here, and what follows would be commands."""
        node = self.node
        if self.warned_of_browsers_us is None or node.now_us - self.warned_of_browsers_us > 60_000_000:
            self.warned_of_browsers_us = node.now_us
            node.log(
                "#",
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to "
                "Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise "
                f"your Redis instance. Connection from {client.peer} aborted.",
            )
        node.close_now(client)

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Look at some of the clients, so that each has its turn about once a second."""
        node = self.node
        if not self.turn:
            self.turn = list(node.clients)
        share = max(5, len(node.clients) // node.config.hz)
        chosen, self.turn = self.turn[:share], self.turn[share:]
        for client_id in chosen:
            client = node.clients.get(client_id)
            if client is not None and client.link:
                self._look_at(client)
        if node.config.maxmemory_clients:
            self.evict()

    def _look_at(self, client: "Client") -> None:
        node = self.node
        idle_us = node.now_us - client.last_us
        spared = flags.REPLICA | flags.MASTER | flags.BLOCKED | flags.PUBSUB
        if node.config.timeout and not client.flags & spared and idle_us > node.config.timeout * 1_000_000:
            node.log("-", "Closing idle client")
            node.close_now(client)
            return
        waiting = len(client.request.buffer) if client.request is not None else 0
        if idle_us > IDLE_S * 1_000_000:
            client.query_room = waiting
        elif client.query_room > BIG_REQUEST_BYTES and not waiting and client.request is None:
            client.query_room = QUERY_ROOM_BYTES
        if self.resizing:
            self._resize_reply_buffer(client)
        if client.out_bytes >= self.least:
            self.check_output(client, client.out_bytes)
        else:
            self.soft_since_s.pop(client.id, None)

    def _resize_reply_buffer(self, client: "Client") -> None:
        """Halve, or more, a reply buffer of which little was used of late; double one that was full."""
        size, peak = client.reply_buffer, client.reply_peak
        if size // 2 >= LEAST_REPLY_BYTES and peak < size // 2:
            client.reply_buffer = max(LEAST_REPLY_BYTES, peak + 1)
            self.node.stats.reply_buffer_shrinks += 1
        elif size * 2 < flags.REPLY_CHUNK_BYTES * 2 and peak >= size:
            client.reply_buffer = min(flags.REPLY_CHUNK_BYTES, size * 2)
            self.node.stats.reply_buffer_expands += 1
        if 0 <= self.peak_lasts_ms * 1000 <= self.node.now_us - client.reply_peak_since_us:
            client.reply_peak = min(client.out_bytes, client.reply_buffer)
            client.reply_peak_since_us = self.node.now_us

    # --- memory of all clients ----------------------------------------------------------------------------------

    def limit_bytes(self) -> int:
        """Return what all clients together may take, 0 for no limit; a negative setting is a percentage."""
        config = self.node.config
        limit = config.maxmemory_clients
        if limit < 0:
            return config.maxmemory * -limit // 100
        return limit

    def evict(self) -> None:
        """Hang up on the clients that take most until all together are within maxmemory-clients."""
        limit = self.limit_bytes()
        if not limit:
            return
        node = self.node
        for client in list(node.pending_out):
            if client.link and client.out:  # who is over its own limit goes first
                self.allow_output(client, client.out_bytes + sum(map(len, client.out)))
        sizes: list[tuple[int, int]] = []
        total = 0
        for client in node.clients.values():
            if not client.link or client.flags & (flags.REPLICA | flags.MASTER) & ~flags.MONITOR:
                continue
            size = client.memory().total
            total += size
            if not client.flags & flags.NO_EVICT:
                sizes.append((size, client.id))
        sizes.sort(reverse=True)
        for size, client_id in sizes:
            if total <= limit:
                break
            from engine.commands.client import describe

            node.log("*", f"Evicting client: {describe(node.clients[client_id]).decode()}")
            node.close_now(node.clients[client_id])
            node.stats.evicted_clients += 1
            total -= size
