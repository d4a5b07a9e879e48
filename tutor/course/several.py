"""A lesson on machines, as a session uses it: terminals on several servers, shells, and a way back.

There is no exact way back for several processes with files. `undo` does it all again instead: fresh machines, and
then everything up to the place once more, in order, waiting each time until replication is quiet. What only looked,
or was refused, is not worth that: then nothing has to be done.
"""

import contextlib
from collections.abc import Sequence

from engine.errors import ReplyError
from tutor.client import Connection
from tutor.course.checks import FILE, UP
from tutor.course.machines import Machines, RealMachine, translated
from tutor.course.model import Lesson
from tutor.course.server import ANSWER_SECONDS, Reply, Said, Terminals
from tutor.course.shell import Shell
from tutor.host import HostError
from tutor.prompt import PromptState

Entry = tuple[str, "str | tuple[bytes, ...]"]


def look(machines: Machines, argv: Sequence[bytes], db: int, server: str) -> Reply:
    """Run a reading command on a machine's server without a trace, or look at the machine itself."""
    machine = machines.find(server)
    if argv[0] == UP:
        return machine.running
    if argv[0] == FILE:
        path = machine.folder / argv[1].decode()
        return machine.outward(path.read_bytes()) if path.is_file() else None
    try:
        return machine.peek(argv, db)
    except HostError as error:
        return ReplyError(str(error).encode())


class MachinesServer(Terminals):
    """The terminals of a lesson on machines."""

    def __init__(self, lesson: Lesson, program: str = "", seed: int | None = None) -> None:
        super().__init__(lesson.terminals)
        self.lesson = lesson
        self.machines = Machines(lesson, program=program, seed=seed)
        self._entries: list[Entry] = []
        self._heavy: list[bool] = []  # whether an entry has to be undone
        self._replaying = False
        self._last: Entry = ("", "")
        self._pending = False  # whether to settle before the next thing, since a command was repeated
        self._fresh()

    def _fresh(self) -> None:
        self.machines.settle()
        for name in self.lesson.terminals:
            machine = self.machines.find(self.lesson.server_of(name))
            self._states[name] = PromptState(host=machine.address, port=6379)
            if machine.running and not self.lesson.is_shell(name):
                with contextlib.suppress(OSError, HostError):
                    self._connect(name)

    def _connect(self, name: str) -> None:
        connection = self._connections[name] = Connection(self.machines.find(self.lesson.server_of(name)).connect())
        connection.socket.settimeout(ANSWER_SECONDS)
        self._states[name].connected = True

    def execute(self, terminal: str, argv: Sequence[bytes]) -> list[Reply]:
        """See `Server`."""
        if self._pending and self._last != (terminal, tuple(argv)):
            self._settle()
        self.arrived(terminal)
        machine = self.machines.find(self.lesson.server_of(terminal))
        words = _inward(machine, argv) if isinstance(machine, RealMachine) else list(argv)
        replies = self._tried(terminal, words)
        if isinstance(machine, RealMachine):
            replies = [reply if isinstance(reply, Said) else translated(reply, machine.outward) for reply in replies]
        self._note((terminal, tuple(argv)), replies)
        return replies

    def _tried(self, terminal: str, words: list[bytes]) -> list[Reply]:
        ended = words[0].lower() == b"shutdown"
        if terminal in self._waiting:
            self._drop(terminal)
        for again in (False, True):
            if terminal not in self._connections:
                try:
                    self._connect(terminal)
                except (OSError, HostError):
                    address = self.machines.find(self.lesson.server_of(terminal)).address
                    return [Said(f"Could not connect to Redis at {address}:6379: Connection refused\n")]
            replies = super().execute(terminal, words)
            if terminal in self._connections or words[0].lower() == b"quit":
                return replies
            if ended:
                self._wait_for_end(terminal)
                return []
            if again:
                return replies
        return []

    def _wait_for_end(self, terminal: str) -> None:
        machine = self.machines.find(self.lesson.server_of(terminal))
        with contextlib.suppress(HostError):
            machine.stop()

    def shell(self, terminal: str, line: str) -> str:
        """See `Server`."""
        self._settle()
        text = Shell(self.machines, self.lesson.server_of(terminal)).run(line)
        self._note((terminal, line), [])
        for name in self.lesson.terminals:
            if not self.lesson.is_shell(name):
                self.arrived(name)
                machine = self.machines.find(self.lesson.server_of(name))
                if name not in self._connections and machine.running:
                    with contextlib.suppress(OSError, HostError):
                        self._connect(name)
        return text

    def _note(self, entry: Entry, replies: Sequence[Reply]) -> None:
        from tutor.course.session import only_looks

        again = self._last == entry and not isinstance(entry[1], str)
        self._last = entry
        _, line = entry
        words = line.encode().split() if isinstance(line, str) else list(line)
        heavy = not only_looks(words) and not (
            len(replies) == 1 and isinstance(replies[0], ReplyError) and not isinstance(line, str)
        )
        if not self._replaying:
            self._entries.append(entry)
            self._heavy.append(heavy)
        if heavy:
            self.machines.changed(words[0])
            self._pending = True
            if not again:
                self._settle()

    def _settle(self) -> None:
        if self._pending:
            self._pending = False
            self.machines.settle()

    def prompt(self, terminal: str) -> str:
        """See `Server`."""
        if self.lesson.is_shell(terminal):
            return Shell(self.machines, self.lesson.server_of(terminal)).prompt
        return super().prompt(terminal)

    def peek(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `Server`."""
        self._settle()
        return look(self.machines, argv, db, server)

    def mark(self) -> int:
        """See `Server`."""
        return len(self._entries)

    def undo(self, place: int) -> None:
        """See `Server`."""
        heavy = any(self._heavy[place:])
        del self._entries[place:]
        del self._heavy[place:]
        if not heavy:
            return
        for name in list(self._connections):
            self._drop(name)
        self.machines.renew()
        self._fresh()
        self._replaying = True
        try:
            for (terminal, line), heavy in zip(self._entries, self._heavy, strict=True):
                if not heavy and not passes_time(line):  # what only looked need not be done again; time has to go by
                    continue
                if isinstance(line, str):
                    self.shell(terminal, line)
                else:
                    self.execute(terminal, line)
                if not self._pending:
                    for name in self.lesson.terminals:
                        self.arrived(name)
            self._settle()
        finally:
            self._replaying = False

    def close(self) -> None:
        """See `Server`."""
        super().close()
        self.machines.close()


def passes_time(line: str | tuple[bytes, ...]) -> bool:
    """Tell whether a line of a shell waits: files may be on the disk afterwards."""
    return isinstance(line, str) and "sleep" in line


def _inward(machine: RealMachine, argv: Sequence[bytes]) -> list[bytes]:
    """Return a command with the addresses and ports of the lesson as they really are."""
    words: list[bytes] = []
    for word in argv:
        before = argv[len(words) - 1].decode(errors="replace") if words else ""
        if word == b"6379" and before in machine.others:
            words.append(b"%d" % machine.port)
        else:
            words.append(machine.inward(word))
    return words
