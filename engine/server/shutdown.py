"""Shutting down: wait for replicas, stop children, save, exit.

A master does not exit while replicas lag behind: writes of clients are paused until all replicas have acknowledged
the whole stream, for up to `shutdown-timeout` seconds. The client that sent SHUTDOWN waits as well, for an error if
the shutdown fails or is aborted; otherwise the connection is just closed.

https://redis.io/docs/latest/commands/shutdown/
"""

from engine.clients.blocking import Waiting
from engine.clients.client import BLOCKED_SHUTDOWN
from engine.clients.conditions import Conditions
from engine.clients.ending import Ending
from engine.clients.pauses import Pauses
from engine.clients.propagation import Propagation
from engine.clients.replica_link import ONLINE
from engine.core import Core
from engine.effects import SIGABRT, Exit, KillDebuggers
from engine.persistence.aof.log import OFF, WAIT_REWRITE, AppendOnlyFile
from engine.persistence.snapshots import Persistence
from engine.protocol.errors import ReplyError
from engine.replication import Replication
from engine.scripting.runtime import Scripting
from engine.timers import NEVER_US

PURPOSE = b"shutdown"
NO_EXIT = ", can't exit."
ENDING = Exit(0)
FAILED = b"ERR Errors trying to SHUTDOWN. Check logs."
OUT_OF_MEMORY = "Out Of Memory allocating an unknown number of bytes!"  # the interpreter does not report the size
OUT_OF_MEMORY_CRASH = "Redis aborting for OUT OF MEMORY."


class Shutdown:
    """The shutdown of a node, from the request to the exit."""

    def __init__(
        self,
        core: Core,
        propagation: Propagation,
        conditions: Conditions,
        waiting: Waiting,
        pauses: Pauses,
        ending: Ending,
        persistence: Persistence,
        aof: AppendOnlyFile,
        scripting: Scripting,
        replication: Replication,
        program: str,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.propagation = propagation
        self.conditions = conditions
        self.waiting = waiting
        self.pauses = pauses
        self.ending = ending
        self.persistence = persistence
        self.aof = aof
        self.scripting = scripting
        self.replication = replication
        self.program = program
        self.until_us = 0  # when to stop waiting for replicas; 0: no shutdown is in progress
        self.options: dict[bytes, None] = {}
        self.last = ENDING  # the effect that ends the node
        self.signalled_options: dict[bytes, None] | None = None  # options of a signal that the cron has yet to handle

    @property
    def remaining_ms(self) -> int:
        """The remaining time for replicas to catch up."""
        return max(0, self.until_us - self.clock.monotonic_us) // 1000

    def begin(self, options: dict[bytes, None], ending: Exit = ENDING) -> bool:
        """Shut down now or when replicas have caught up. Returns False if that failed and the server goes on."""
        self.last = ending
        if self.until_us and b"now" not in options:
            return True
        self.output.log("*", "User requested shutdown...")
        timeout_s = self.config.shutdown_timeout
        if timeout_s and b"now" not in options and not self._replicas_are_ready():
            self.options = options
            self.until_us = self.clock.monotonic_us + timeout_s * 1_000_000
            self.pauses.pause(PURPOSE, NEVER_US, everything=False)
            self.output.log("*", "Waiting for replicas before shutting down.")
            return True
        self.options = options
        return self._finish()

    def out_of_memory(self) -> None:
        """Crash because no memory is available, as Redis does: no command of this round is acknowledged."""
        self.output.log("#", OUT_OF_MEMORY)
        self.ending.fail(Exit(1, crash=OUT_OF_MEMORY_CRASH, signal=SIGABRT))

    def cron(self) -> None:
        """Continue a shutdown that waits for replicas."""
        if self.signalled_options is not None:
            options, self.signalled_options = self.signalled_options, None
            self.begin(options)
        if self.until_us and (self._replicas_are_ready() or self.clock.monotonic_us >= self.until_us):
            self._finish()

    def abort(self) -> bool:
        """Cancel a pending shutdown. Returns False if there is none."""
        if not self.until_us and self.signalled_options is None:
            return False
        self.output.log("*", "Shutdown manually aborted.")
        self.signalled_options = None
        if self.until_us:
            self._stay()
        return True

    def _replicas_are_ready(self) -> bool:
        offset = self.replication.offset
        return all(link.ack_offset >= offset for _, link in self.replication.links() if link.state == ONLINE)

    def _stay(self) -> None:
        """Keep running; clients blocked in SHUTDOWN receive an error."""
        self.until_us = 0
        self.pauses.end(PURPOSE)
        for client in list(self.waiting.clients.values()):
            if client.blocking is not None and client.blocking.kind == BLOCKED_SHUTDOWN:
                self.waiting.unblock_with_error(client, ReplyError(FAILED))

    def _finish(self) -> bool:
        if self.propagation.pending:
            self.propagation.flush(as_unit=False)  # expired keys of this round are deleted before the snapshot
        self._tell_of_replicas()
        if self.scripting.has_forked:
            self.output.effects.append(KillDebuggers())
        if not self._prepare():
            self.output.log("#", "Errors trying to shut down the server. Check the logs for more information.")
            self._stay()
            return False
        if self.config.pidfile:
            self.output.log("*", "Removing the pid file.")
        if self.config.unixsocket:
            self.output.log("*", "Removing the unix socket file.")
        self.output.log("#", f"{self.program} is now ready to exit, bye bye...")
        self.ending.end(self.last)
        return True

    def _tell_of_replicas(self) -> None:
        links = self.replication.links()
        in_sync = 0
        for client, link in links:
            behind = self.replication.offset - link.ack_offset
            if not behind:
                in_sync += 1
                continue
            lag_s = self.clock.monotonic_us // 1_000_000 - link.ack_time_s if link.state == ONLINE else 0
            self.output.log(
                "*",
                f"Lagging replica {client.peer} reported offset {behind} behind master, lag={lag_s}, "
                f"state={link.state}.",
            )
        if links:
            self.output.log("*", f"{in_sync} of {len(links)} replicas are in sync when shutting down.")

    def _prepare(self) -> bool:
        """Stop children and save. Returns False if data would be lost."""
        options = self.options
        force = b"force" in options
        if self.persistence.saving:
            self.output.log("#", "There is a child saving an .rdb. Killing it!")
            self.persistence.kill_save()
        if self.aof.rewriting:
            if self.aof.state == WAIT_REWRITE:
                if not force:
                    self.output.log("#", "Writing initial AOF, can't exit.")
                    return False
                self.output.log("#", "Writing initial AOF. Exit anyway.")
            self.output.log("#", "There is a child rewriting the AOF. Killing it!")
            self.aof.kill_rewrite()
        if self.aof.state != OFF:
            self.aof.close()
        saves = b"save" in options or (bool(self.config.save) and b"nosave" not in options)
        if not saves or self.conditions.load is not None:  # partly loaded data must not replace all data
            return True
        self.output.log("*", "Saving the final RDB snapshot before exiting.")
        if self.persistence.save():
            return True
        self.output.log("#", f"Error trying to save the DB{'. Exit anyway.' if force else NO_EXIT}")
        return force
