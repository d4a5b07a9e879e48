"""A lesson on machines, as a session uses it: terminals on several servers, shells, and undo.

With simulated machines, time passes at once wherever the lesson waits, and `undo` is exact: the world goes back to
the place. Machines with real servers are for `verify`, which never goes back.
"""

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.client import Connection
from tutor.lesson.checks import FILE, UP
from tutor.lesson.connection import answers_by_ending
from tutor.lesson.machines import Machines, RealMachine, RealMachines, SimulatedMachines, translated
from tutor.lesson.model import Lesson
from tutor.lesson.printed import Said
from tutor.lesson.python_process import Ran
from tutor.lesson.server import ANSWER_SECONDS, Reply, TerminalConnections
from tutor.lesson.shell import Shell
from tutor.lesson.transcript import PYTHON
from tutor.lesson_server.parent import HostError
from tutor.prompt.conversation import longest_wait
from tutor.prompt.replies import INCOMPLETE

AT_ONCE_SECONDS = 0.02  # for which to wait before time jumps to the reply: most commands are answered sooner

Entry = tuple[str, "str | tuple[bytes, ...]"]


def inspect_machine(machines: Machines, argv: Sequence[bytes], db: int, server: str) -> Reply:
    """Run a reading command on a machine's server without a trace, or look at the machine itself."""
    machine = machines.find(server)
    if argv[0] == UP:
        return machine.running
    if argv[0] == FILE:
        data = machine.read(argv[1].decode())
        return machine.outward(data) if data is not None else None
    try:
        return machine.inspect(argv, db)
    except HostError as error:
        return ReplyError(str(error).encode())


class MachinesServer(TerminalConnections):
    """The terminals of a lesson on machines."""

    def __init__(self, lesson: Lesson, program: str = "", seed: int | None = None) -> None:
        super().__init__(lesson.terminals)
        self.lesson = lesson
        self.world: SimulatedMachines | None = None if program else SimulatedMachines(lesson, seed=seed)
        self.machines: Machines = self.world or RealMachines(lesson, program)
        self._kept: dict[int, Any] = {}
        self._ended_it = False  # whether the last command ended a server that came back
        self._last: Entry = ("", "")
        self._answered, self._longest_s = False, 0.0  # of the command that runs: see `execute`
        self._pending = False  # whether to settle before the next thing, since a command was repeated
        self.machines.settle()
        for name in self.lesson.terminals:
            machine = self.machines.find(self.lesson.server_of(name))
            self._lines[name].state.host, self._lines[name].state.port = machine.address, self._port(name)
        self._connect_again()

    def _port(self, terminal: str) -> int:
        machine = self.machines.find(self.lesson.server_of(terminal))
        return self.machines.specs[machine.name].port

    def _socket(self, name: str) -> socket.socket:
        if self.world is not None:
            return self.world.connect(name)
        return self.machines.find(self.lesson.server_of(name)).connect(name)

    def _comes(self, terminal: str, connection: Connection, timeout_s: float) -> bool:
        if super()._comes(terminal, connection, timeout_s if self.world is None else 0.0):
            return True
        if self.world is None or not timeout_s:
            return False
        self.world.world.wait_for_output(self.world.client_of(terminal), timeout_s)
        return super()._comes(terminal, connection, 0.0)

    def _reply(self, terminal: str, connection: Connection) -> Reply:
        if self.world is None:
            return connection.read()
        waited = 0.0
        while (reply := connection.buffered()) is INCOMPLETE:
            if super()._comes(terminal, connection, AT_ONCE_SECONDS):
                connection.receive()
                continue
            step_s = 1.0 if waited else 1.0 + self._longest_s
            if waited < ANSWER_SECONDS + self._longest_s and not self._comes(terminal, connection, step_s):
                waited += step_s
                continue
            connection.receive()
        return reply

    def _waits(self, terminal: str, connection: Connection, words: Sequence[bytes]) -> bool:
        jumps = self.world is not None and self._answered and self._longest_s
        return not jumps and super()._waits(terminal, connection, words)

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Reply]:
        """See `Server`."""
        replies = super().arrived(terminal, timeout_s)
        machine = self.machines.find(self.lesson.server_of(terminal))
        return (
            [translated(each, machine.outward) for each in replies] if isinstance(machine, RealMachine) else replies
        )

    def pass_time(self, seconds: float) -> None:
        """See `Server`."""
        self.machines.find("").pass_time(seconds)

    def execute(self, terminal: str, argv: Sequence[bytes], answered: bool = False) -> list[Reply]:
        """See `Server`."""
        self._answered, self._longest_s = answered, longest_wait(argv)
        if self._pending and self._last != (terminal, tuple(argv)):
            self._settle()
        self.arrived(terminal)
        machine = self.machines.find(self.lesson.server_of(terminal))
        words = _inward(machine, argv) if isinstance(machine, RealMachine) else list(argv)
        self._ended_it = False
        replies = self._tried(terminal, words)
        if isinstance(machine, RealMachine):
            replies = [reply if isinstance(reply, Said) else translated(reply, machine.outward) for reply in replies]
        if not self._ended_it:  # the server is as it was before
            self._note((terminal, tuple(argv)), replies)
        return replies

    def _tried(self, terminal: str, words: list[bytes]) -> list[Reply]:
        ended = answers_by_ending(words)
        if terminal in self._waiting:
            self._drop(terminal)
        for again in (False, True):
            if not self._connected(terminal):
                try:
                    self._connection(terminal)
                except (OSError, HostError):
                    address = self.machines.find(self.lesson.server_of(terminal)).address
                    where = f"{address}:{self._port(terminal)}"
                    return [Said(f"Could not connect to Redis at {where}: Connection refused\n")]
            replies = super().execute(terminal, words)
            if self._connected(terminal) or words[0].lower() == b"quit":
                return replies
            if ended:
                self._wait_for_end(terminal)
                return []
            if again:
                return replies
        return []

    def _comes_back(self, terminal: str, lost: socket.socket) -> bool:
        if self.world is None or not self.world.comes_back(terminal, lost):
            return False
        self._ended_it = True
        return True

    def _connect_again(self) -> None:
        for name in self.lesson.terminals:
            machine = self.machines.find(self.lesson.server_of(name))
            if self.lesson.is_prompt(name) and machine.running:
                if came := self.arrived(name):  # which shows whether the connection has ended
                    self._pushes[name] = came
                if not self._connected(name):
                    with contextlib.suppress(OSError, HostError):
                        self._connection(name)

    def notices(self) -> list[str]:
        """See `Server`."""
        notices, self.machines.notices = self.machines.notices, []
        return notices

    def _wait_for_end(self, terminal: str) -> None:
        machine = self.machines.find(self.lesson.server_of(terminal))
        with contextlib.suppress(HostError):
            machine.stop()

    def run_program(self, terminal: str, line: str) -> Said:
        """See `Server`."""
        self._settle()
        if self.lesson.is_python(terminal):
            return self._run_python(terminal, line)
        text = Said(Shell(self.machines, self.lesson.server_of(terminal)).run(line))
        self._note((terminal, line), [])
        self._connect_again()
        return text

    def _run_python(self, terminal: str, source: str) -> Ran:
        ran = self.machines.consoles[terminal].run(source)
        if ran.changes:
            self._pending = True
        machine = self.machines.find(self.lesson.server_of(terminal))
        if isinstance(machine, RealMachine):
            text = machine.outward(ran.encode(errors="surrogateescape")).decode(errors="surrogateescape")
            return Ran(text, ran.failed, ran.sent, ran.assigns)
        return ran

    def send_again(self, terminal: str, ran: Ran) -> None:
        """See `Server`."""
        assert self.world is not None
        self.world.send_again(terminal, ran)

    def hang_up(self) -> None:
        """See `Server`."""
        if self.world is not None:
            self.world.hang_up()

    def _note(self, entry: Entry, replies: Sequence[Reply]) -> None:
        from tutor.lesson.session import only_looks

        again = self._last == entry and not isinstance(entry[1], str)
        self._last = entry
        _, line = entry
        words = line.encode().split() if isinstance(line, str) else list(line)
        heavy = not only_looks(words) and not (
            len(replies) == 1 and isinstance(replies[0], ReplyError) and not isinstance(line, str)
        )
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
        match self.lesson.kind_of(terminal):
            case "shell":
                return Shell(self.machines, self.lesson.server_of(terminal)).prompt
            case "python":
                return PYTHON
        return super().prompt(terminal)

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `Server`."""
        self._settle()
        return inspect_machine(self.machines, argv, db, server)

    def mark(self) -> int:
        """See `Server`."""
        if self.world is None:
            return 0
        self._settle()
        place = self.world.mark()
        self._kept[place] = self._saved()
        return place

    def undo(self, place: int) -> None:
        """See `Server`."""
        assert self.world is not None, "real servers do not go back"
        self._pending, self._last = False, ("", "")
        for name in self.lesson.terminals:
            self.arrived(name)
        self.world.undo(place)
        for name, (state, _) in self._kept[place][0].items():
            if not state.connected:
                self._lines[name].close()  # opened after the place, where its server did not run
        self._restore(self._kept[place])
        for name in filter(self._connected, self._lines):  # some have ended: their server does not run at the place
            waiting = self._waiting.pop(name, None)
            self.arrived(name)
            if waiting is not None and self._connected(name):
                self._waiting[name] = waiting
        self._connect_again()

    def close(self) -> None:
        """See `Server`."""
        super().close()
        self.machines.close()


def _inward(machine: RealMachine, argv: Sequence[bytes]) -> list[bytes]:
    """Return a command with the addresses and ports of the lesson as they really are."""
    words: list[bytes] = []
    for word in argv:
        before = argv[len(words) - 1].decode(errors="replace") if words else ""
        if word.isdigit() and int(word) in machine.ports and before in machine.others:
            words.append(b"%d" % machine.ports[int(word)])
        else:
            words.append(machine.inward(word))
    return words
