"""One Redis server as a plain object.

A node does no I/O. Its inputs are calls that carry the time; its output is an ordered list of effects
(`engine.effects`), which `end_round` returns when a round of inputs ends. Two worlds execute effects: `engine.live`
(sockets, files, the machine's clocks) and `engine.simulation`.

    inputs   opened · received · output_pending · closed · refused · done · snapshot · clock_set · wake · signal
             end_round

There are two clocks, both in µs. The time that inputs carry is monotonic: timers, timeouts and all intervals use
`monotonic_us`. The wall clock (`now_us`, since 1970) is ahead of it by `clock_offset_us`, which `clock_set` changes
when the wall clock is set: it determines when keys expire, and logs and TIME show it. Neither advances within an
input. Durations (slow log, statistics) come from the world's stopwatch. All state is plain data, so a node can be
pickled: checkpoints, undo and time travel depend on that. The copy does not include the world's objects (its
stopwatch, observers); `attach` sets them again.

`engine.server` assembles the components of a node; their modules describe them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from engine.clients.client import Client
from engine.commands import load_all
from engine.config import Config
from engine.core import ProcessFacts
from engine.effects import Effect, Hangup, Send
from engine.links import LinkHandler, Listener
from engine.observe.events import Event
from engine.persistence.aof.log import OFF
from engine.protocol.errors import PROTECTED_MODE
from engine.replication.failover import WAITING
from engine.server import Server
from engine.server.requests import ClientLink
from engine.table.declarations import SERVER, CommandTable

load_all()


class Environment(Protocol):
    """The services of the world that a node may use during an input."""

    def stopwatch(self) -> int:
        """Return a monotonic time in µs."""

    def service(self, node: "Node") -> None:
        """Deliver pending inputs during a slow script or loading; the node replies with BUSY or LOADING."""

    def facts(self) -> ProcessFacts:
        """Return facts of the process: pid, rss, cpu times, uname …"""

    def run_now(self, node: "Node", effect: Effect) -> Any:
        """Execute the node's effects so far, then this one. Returns its result, including an OSError."""


class Node(Server):
    """A Redis server."""

    def __init__(
        self, config: Config, seed: int, now: int, clock_offset_us: int = 0, table: CommandTable = SERVER
    ) -> None:
        super().__init__(config, seed, now, clock_offset_us, table)
        self.listeners: dict[str, Listener] = dict.fromkeys(("tcp", "tls", "unix"), self.accept_client)
        if self.cluster is not None:
            self.listeners |= dict.fromkeys(("bus", "tls-bus"), self.cluster.bus.accept)

    # --- the world ----------------------------------------------------------------------------------------------

    def attach(self, world: Environment) -> None:
        """Attach the node to its world; needed before the first input, and again after unpickling."""
        self.bind(world)
        self.execution.clock_us = world.stopwatch()

    def bind(self, world: Environment) -> None:
        """Attach a copy of a node to its world without any other change."""
        self.world = world
        self.clock.stopwatch = world.stopwatch
        self.suspension.service = partial(world.service, self)
        self.output.attach(partial(world.run_now, self))

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("world", None)
        return state

    @property
    def exiting(self) -> bool:
        """Whether the node ends with this round and accepts no more input."""
        return self.ending.exiting

    def observe(self, observer: Callable[[Event], None]) -> None:
        """Pass all events from now on to `observer`."""
        self.events.observers.append(observer)
        self.conditions.update_attended()

    # --- inputs -------------------------------------------------------------------------------------------------

    def set_time(self, now: int) -> None:
        """Set the node's clocks. They never change within an input."""
        clock = self.clock
        clock.monotonic_us = now
        clock.now_us = clock.shown_us = wall_us = now + clock.offset_us
        clock.now_ms = self.space.now_ms = wall_us // 1000

    def clock_set(self, offset_us: int, now: int) -> None:
        """The wall clock was set: `offset_us` is its new difference to the monotonic clock."""
        self.clock.offset_us = offset_us
        self.set_time(now)

    def start(self, now: int) -> None:
        """Load the data on disk, then serve clients. Raises LoadError if it cannot be loaded."""
        self.set_time(now)
        self.execution.clock_us = self.clock.stopwatch()
        self.aof.read_manifest()
        if self.config.appendonly:
            self.aof.start()
        else:
            self.persistence.load()
            self.aof.remove_history()
        if self.config.is_replica:
            self.roles.update()
            self.replica.follow()

    def accept_client(self, link: int, peer: str, kind: str) -> LinkHandler | None:
        """Accept the connection of a client (see `Listener`)."""
        refusal = self._refusal(peer, kind)
        if refusal is None:
            client = ClientLink(self, self.connections.take_id(), link, peer)
            client.kind = kind
            return client
        if refusal == PROTECTED_MODE:
            self.connections.take_id()  # Redis checks this only after it has created the client
        self.stats.rejected_connections += 1
        if kind != "tls" or refusal == PROTECTED_MODE:  # above maxclients, TLS is closed before its handshake
            self.output.effects.append(Send(link, b"-%b\r\n" % refusal))
        self.output.effects.append(Hangup(link, flush=True))
        return None

    def _refusal(self, peer: str, kind: str) -> bytes | None:
        """Return the reason for refusing a new connection, or None."""
        if len(self.clients) >= self.config.maxclients:
            return b"ERR max number of clients reached"
        local = kind == "unix" or peer.startswith(("127.", "[::1]"))
        if self.config.protected_mode and not local and self.acl.default_needs_no_password():
            return PROTECTED_MODE
        return None

    def client(self, link: int) -> Client | None:
        """Return the client of a link; None if there is no such link or it does not belong to a client."""
        handler = self.links.get(link)
        return handler if isinstance(handler, Client) else None

    def opened(self, link: int, peer: str, kind: str, now: int, local: str = "") -> None:
        """A listener of this kind accepted a connection, or an outgoing one is established (kind "dialled")."""
        self.set_time(now)
        if self.exiting:
            return
        handler = self.links.get(link)
        if handler is None:
            accept = self.listeners.get(kind)
            handler = None if accept is None else accept(link, peer, kind)
            if handler is None:
                return
            self.links[link] = handler
        handler.opened(peer, local)

    def received(self, link: int, data: bytes, now: int) -> None:
        """Bytes arrived on a link, split at any position."""
        handler = self.links.get(link)
        if handler is None:
            return
        clock = self.clock
        if now != clock.monotonic_us:  # `set_time`, but without two calls for each request
            clock.monotonic_us = now
            clock.now_us = clock.shown_us = wall_us = now + clock.offset_us
            clock.now_ms = self.space.now_ms = wall_us // 1000
        handler.received(data)

    def output_pending(self, link: int, size_bytes: int, now: int) -> None:
        """The world reports how many bytes sent to a link are still pending (0: none)."""
        clock = self.clock
        if now != clock.monotonic_us or clock.shown_us != clock.now_us:
            self.set_time(now)
        handler = self.links.get(link)
        if handler is not None:
            handler.output_pending(size_bytes)

    def closed(self, link: int, now: int) -> None:
        """The other end closed a link, or the connection broke."""
        self.set_time(now)
        handler = self.links.get(link)
        if handler is not None:
            handler.closed()

    def refused(self, link: int, error: str, now: int) -> None:
        """A `Dial` failed."""
        self.set_time(now)
        handler = self.links.get(link)
        if handler is not None:
            handler.refused(error)

    def done(self, ticket: int, result: Any, now: int) -> None:
        """A file operation ended with a result or an OSError."""
        self.set_time(now)
        self.execution.clock_us = self.clock.stopwatch()
        method, args = self.output.redeem(ticket)
        attrgetter(method)(self)(result, *args)

    def snapshot(self, snapshot: int, error: str | None, now: int) -> None:
        """A `Snapshot` ended; `error` is the reason if it failed."""
        self.set_time(now)
        if snapshot == self.master.snapshot:
            self.persistence.child_ended()
            self.master.snapshot_ended(snapshot, error)
        elif snapshot == self.aof.rewriting:
            self.aof.rewrite_ended(error)
        else:
            self.persistence.ended(snapshot, error)

    def snapshot_data(self, snapshot: int, data: bytes, now: int) -> None:
        """A chunk of a `Snapshot` without a file is available."""
        self.set_time(now)
        self.master.snapshot_data(snapshot, data)

    def snapshot_progress(self, keys: int, cow_bytes: int, now: int) -> None:
        """Progress of a `Snapshot` child: the number of keys written, and the size of memory copied (bytes)."""
        self.persistence.child.told(keys, cow_bytes, now // 1_000_000)

    def snapshot_chunks(self, kind: str, chunk_bytes: int = 1 << 16) -> Iterator[bytes]:
        """Yield the pieces of a snapshot.

        Kinds: "rdb"; "functions" and "nothing", which omit the parts that a replica does not request; "aof", the base
        of an append-only file.
        """
        return self.aof.chunks(chunk_bytes) if kind == "aof" else self.persistence.chunks(chunk_bytes, kind=kind)

    def wake(self, now: int) -> None:
        """The time of `deadline()` has come."""
        self.set_time(now)
        if self.ending.exiting:
            return
        execution, stats = self.execution, self.stats
        execution.clock_us = began_us = self.clock.stopwatch()
        if not stats.round_began_us:
            stats.round_began_us = began_us  # timers take time, too
        self.timers.run(self, now, bool(self.suspension.depth))
        if execution.post_execution and not self.suspension.depth:
            self.dispatch.post_execution()

    def deadline(self) -> int:
        """Return the time at which `wake` is due."""
        return self.timers.next_us

    def signal(self, name: str, now: int) -> None:
        """A signal arrived: "term" and "int" shut the server down."""
        self.set_time(now)
        if self.exiting:
            return
        wanted = self.config.shutdown_on_sigint if name == "int" else self.config.shutdown_on_sigterm
        options = {option.encode(): None for option in wanted}
        if self.cron.paused:
            self.shutdown.signalled_options = options  # handled by the cron
        else:
            self.shutdown.begin(options)

    def abort_shutdown(self, now: int) -> None:
        """Cancel a pending shutdown, as SHUTDOWN ABORT does."""
        self.set_time(now)
        self.shutdown.abort()

    def _resume_clients(self, now: int) -> None:
        """Run the requests that clients sent while they had to wait."""
        if now > self.clock.monotonic_us:
            self.set_time(now)  # pending input may have arrived while a script ran
        resumable = self.waiting.resumable
        while resumable:
            client_id = next(iter(resumable))
            del resumable[client_id]
            client = self.clients.get(client_id)
            if isinstance(client, ClientLink) and not client.halted:
                client.resume()

    def end_round(self, now: int) -> list[Effect]:
        """End a round of inputs: all replies become one `Send` per link. Returns all effects."""
        waiting, stats, ending = self.waiting, self.stats, self.ending
        if waiting.resumable:
            self._resume_clients(now)
        if self.conditions.tracked:
            self.tracking.limit()
            self.tracking.broadcast()
        stats.rounds += 1
        if stats.round_began_us:
            stats.round_ended(self.clock.stopwatch())
        if self.replica.client is not None and not ending.exiting:
            self.replica.resume()
        if self.aof.state != OFF:
            flushing_us = self.clock.stopwatch()
            self.aof.flush()
            stats.aof_time_us += self.clock.stopwatch() - flushing_us
        if waiting.acks_due:
            waiting.acks_due = False
            self.replication.serve_waiting()
        if self.failover.state == WAITING and not ending.exiting:
            self.failover.update()  # acknowledgements may have arrived; not earlier, because it disconnects replicas
        if self.cluster is not None and not ending.exiting:
            self.cluster.before_sending()
        if ending.failed:
            self.master.round.clear()
            self.replies.drop()  # the reply of the failing command was queued after the failure
        else:
            if self.master.round:
                self.master.hand_out()
            self.replies.send()
        if self.config.maxmemory_clients:
            self.limits.evict()  # after disconnecting clients that exceed their own limits
        output = self.output
        effects, output.effects = output.effects, []
        if ending.last is not None:
            effects.append(ending.last)
            ending.last = None
        return effects


__all__ = ["Environment", "Node"]
