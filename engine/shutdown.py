"""Shutting down: wait for replicas, give children up, save, end.

A master does not go while replicas lack a part of its stream: clients' writes are held back, and the end waits until
all have acknowledged everything, `shutdown-timeout` seconds at most. Whoever gave SHUTDOWN waits as well, for an
error if it fails or is aborted; otherwise the connection just ends.

https://redis.io/docs/latest/commands/shutdown/
"""

from typing import TYPE_CHECKING

from engine import blocking
from engine.aof.log import OFF, WAIT_REWRITE
from engine.client import BLOCKED_SHUTDOWN, Client
from engine.effects import Exit, KillDebuggers
from engine.errors import ReplyError
from engine.pauses import NEVER_MS
from engine.replication.master import ONLINE, ReplicaLink

if TYPE_CHECKING:
    from engine.node import Node

PURPOSE = b"shutdown"
NO_EXIT = ", can't exit."
ENDING = Exit(0)
FAILED = b"ERR Errors trying to SHUTDOWN. Check logs."


class Shutdown:
    """The end of a node, from the wish to the exit."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.until_ms = 0  # when replicas are waited for no longer; 0: no shutdown is under way
        self.options: dict[bytes, None] = {}
        self.ending = ENDING
        self.signalled_options: dict[bytes, None] | None = None  # a signal that waits for the cron

    @property
    def remaining_ms(self) -> int:
        """How long replicas are waited for still."""
        return max(0, self.until_ms - self.node.now_ms)

    def begin(self, options: dict[bytes, None], ending: Exit = ENDING) -> bool:
        """Shut down, at once or when replicas are ready; False when something failed and the server goes on."""
        node = self.node
        self.ending = ending
        if self.until_ms and b"now" not in options:
            return True
        node.log("*", "User requested shutdown...")
        timeout_s = node.config.shutdown_timeout
        if timeout_s and b"now" not in options and not self._replicas_are_ready():
            self.options = options
            self.until_ms = node.now_ms + timeout_s * 1000
            node.pauses.pause(PURPOSE, NEVER_MS, everything=False)
            node.log("*", "Waiting for replicas before shutting down.")
            return True
        self.options = options
        return self._finish()

    def signalled(self, options: dict[bytes, None]) -> None:
        """Shut down because of a signal: the cron's work, so not while it is paused (DEBUG PAUSE-CRON)."""
        if self.node.cron_paused:
            self.signalled_options = options
        else:
            self.begin(options)

    def cron(self) -> None:
        """Go on with a shutdown that waits."""
        if self.signalled_options is not None:
            options, self.signalled_options = self.signalled_options, None
            self.begin(options)
        if self.until_ms and (self._replicas_are_ready() or self.node.now_ms >= self.until_ms):
            self._finish()

    def abort(self) -> bool:
        """Give a shutdown up that waits, for replicas or for the cron; False when there is none."""
        if not self.until_ms and self.signalled_options is None:
            return False
        self.node.log("*", "Shutdown manually aborted.")
        self.signalled_options = None
        if self.until_ms:
            self._stay()
        return True

    def _links(self) -> list[tuple[Client, ReplicaLink]]:
        clients = self.node.master.replicas.values()
        return [(client, client.extra) for client in clients if isinstance(client.extra, ReplicaLink)]

    def _replicas_are_ready(self) -> bool:
        offset = self.node.replication.offset
        return all(link.ack_offset >= offset for _, link in self._links() if link.state == ONLINE)

    def _stay(self) -> None:
        """Go on serving; those who asked for the end hear that it failed."""
        node = self.node
        self.until_ms = 0
        node.pauses.end(PURPOSE)
        for client in list(node.clients.values()):
            if client.blocking is not None and client.blocking.kind == BLOCKED_SHUTDOWN:
                blocking.unblock_with_error(node, client, ReplyError(FAILED))

    def _finish(self) -> bool:
        node = self.node
        if node.pending_propagation:
            node.flush_propagation(as_unit=False)  # what expired in this round belongs before the snapshot
        self._tell_of_replicas()
        if node.scripting.has_forked:
            node.effects.append(KillDebuggers())
        if not self._prepare():
            node.log("#", "Errors trying to shut down the server. Check the logs for more information.")
            self._stay()
            return False
        if node.config.pidfile:
            node.log("*", "Removing the pid file.")
        if node.config.unixsocket:
            node.log("*", "Removing the unix socket file.")
        node.log("#", "Redis is now ready to exit, bye bye...")
        node.end(self.ending)
        return True

    def _tell_of_replicas(self) -> None:
        node = self.node
        links = self._links()
        in_sync = 0
        for client, link in links:
            behind = node.replication.offset - link.ack_offset
            if not behind:
                in_sync += 1
                continue
            lag_s = node.now_us // 1_000_000 - link.ack_time_s if link.state == ONLINE else 0
            node.log(
                "*",
                f"Lagging replica {client.peer} reported offset {behind} behind master, lag={lag_s}, "
                f"state={link.state}.",
            )
        if links:
            node.log("*", f"{in_sync} of {len(links)} replicas are in sync when shutting down.")

    def _prepare(self) -> bool:
        """Give children up and save; False when what the server holds would be lost."""
        node, options = self.node, self.options
        force = b"force" in options
        if node.persistence.saving:
            node.log("#", "There is a child saving an .rdb. Killing it!")
            node.persistence.kill_save()
        if node.aof.rewriting:
            if node.aof.state == WAIT_REWRITE:
                if not force:
                    node.log("#", "Writing initial AOF, can't exit.")
                    return False
                node.log("#", "Writing initial AOF. Exit anyway.")
            node.log("#", "There is a child rewriting the AOF. Killing it!")
            node.aof.kill_rewrite()
        if node.aof.state != OFF:
            node.aof.close()
        saves = b"save" in options or (bool(node.config.save) and b"nosave" not in options)
        if not saves or node.load is not None:  # half of the data must not take the place of all of it
            return True
        node.log("*", "Saving the final RDB snapshot before exiting.")
        if node.persistence.save():
            return True
        node.log("#", f"Error trying to save the DB{'. Exit anyway.' if force else NO_EXIT}")
        return force
