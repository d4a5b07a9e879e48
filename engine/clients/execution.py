"""The running command and its state.

Commands nest: `EXEC` runs queued commands, a script runs commands for its caller, and the command of a blocked client
runs again when its key is ready. `enter` and `leave` nest the client and its arguments; `suspended` saves the whole
state while the node serves other clients during a command (a slow script, or loading).
"""

import contextlib
from collections.abc import Iterator

from engine.clients.client import PROPAGATE_ALL, Client
from engine.observe.slowlog import redacted
from engine.protocol.resp import Argv

NO_ARGV: Argv = []  # of no command; shared, so it must not be changed
NO_REDACTIONS: tuple[Argv, tuple[int, ...]] = (NO_ARGV, ())


class Override:
    """How the running command is propagated, if not just as it was sent to all who need its changes."""

    __slots__ = ("commands", "forced", "targets")

    def __init__(self) -> None:
        self.commands: list[Argv] | None = None  # instead of the command, if not None
        self.forced = False  # although the command changed nothing
        self.targets = PROPAGATE_ALL


class Execution:
    """The command that a node is running."""

    __slots__ = ("argv", "client", "clock_us", "override", "post_execution", "redactions", "script_caller")

    def __init__(self) -> None:
        self.client: Client | None = None  # of the running command
        self.argv = NO_ARGV
        self.script_caller: Client | None = None  # of the running script
        self.override: Override | None = None
        self.redactions = NO_REDACTIONS  # a command, and the arguments to redact
        self.post_execution = False  # `Dispatch.post_execution` has something to do
        self.clock_us = 0  # stopwatch reading when the last command ended or the input began

    def enter(self, client: Client, argv: Argv) -> tuple[Client | None, Argv]:
        """Begin a command, possibly inside another one. Returns the state to pass to `leave`."""
        outer = self.client, self.argv
        self.client, self.argv = client, argv
        return outer

    def leave(self, outer: tuple[Client | None, Argv]) -> None:
        """End a command that began with `enter`."""
        self.client, self.argv = outer

    def forget(self) -> None:
        """Release the last command when none is running."""
        self.argv, self.redactions = NO_ARGV, NO_REDACTIONS

    def overridden(self) -> Override:
        """Return the override of the running command, to be changed."""
        if self.override is None:
            self.override = Override()
        return self.override

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the command within the context, so that other commands can run."""
        client, argv, caller, post_execution = self.client, self.argv, self.script_caller, self.post_execution
        override, redactions = self.override, self.redactions
        self.client = self.script_caller = self.override = None
        self.argv, self.post_execution = NO_ARGV, False
        try:
            yield
        finally:
            self.client, self.argv, self.script_caller = client, argv, caller
            self.override, self.redactions = override, redactions
            self.post_execution = post_execution or self.post_execution

    def is_running(self, client: Client) -> bool:
        """Return whether a client's command, or a script that the client called, is running."""
        return self.client is client or self.script_caller is client

    def client_id(self) -> int:
        """Return the ID of the client whose command is running (for a script, its caller), or 0."""
        client = self.script_caller or self.client
        return client.id if client is not None else 0

    def shown(self, argv: Argv) -> Argv:
        """Return a command as shown in the slow log and MONITOR."""
        held, positions = self.redactions
        return redacted(argv, positions) if held is argv else argv
