"""redis-cli's `--cluster` and `-c` in a lesson's shell: the same code as `redis-tutor cli`, on the lesson's machines.

Time passes as a lesson's does, and what would wait forever is ended after a while.
"""

import random
from collections.abc import Callable
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv
from tutor.client import Connection, LinkError
from tutor.cluster.options import ClusterOptions
from tutor.cluster.subcommands import run
from tutor.cluster.surroundings import ClusterSurroundings, Stopped
from tutor.lesson.machines import Place, RealMachine, SimulatedMachine
from tutor.prompt import to_text

LONGEST_S = 60
REDIRECTIONS_MAX = 16
REPLY_WITHIN_S = 20.0
ADDRESSED = (b"meet", b"migrate")  # commands with a host and a port, as two words
NO_INPUT = "\n(Nothing can be typed here. Add --cluster-yes, or put `echo yes |` before the command.)\n"
ASKED_EVEN_SO = (
    "\n(It asks in spite of --cluster-yes. Nothing can be typed here: put `echo yes |` before the command.)\n"
)
ENDED = f"\n(stopped after {LONGEST_S} seconds)\n"

Machine = SimulatedMachine | RealMachine
Reach = Callable[[str, str], Place]  # where a host and port really are; raises LinkError


def inward_words(machine: Machine, argv: Argv) -> Argv:
    """Return a command with its addresses as they really are."""
    words = [machine.inward(word) for word in argv]
    if words != argv and {word.lower() for word in words[:2]} & set(ADDRESSED):
        for at, (word, meant) in enumerate(zip(argv[:-1], list(words), strict=False)):
            if word != meant:  # an address: its port is the next word
                words[at + 1] = machine.inward(word + b":" + argv[at + 1]).rpartition(b":")[2]
    return words


class LessonConnection(Connection):
    """A connection on which addresses are those of the lesson."""

    machine: Machine

    def send(self, argv: Argv) -> None:
        """Send one command. Raises LinkError."""
        super().send(inward_words(self.machine, argv))

    def read(self) -> Any:
        """Return the next reply, waiting for it. Raises LinkError."""
        return self._outward(super().read())

    def _outward(self, reply: Any) -> Any:
        if isinstance(reply, ReplyError):
            return ReplyError(self.machine.outward(reply.text))
        if isinstance(reply, bytes):
            return type(reply)(self.machine.outward(reply))  # a status stays one
        if type(reply) is list:
            return [self._outward(item) for item in reply]
        return reply


def open_connection(machine: Machine, place: Place) -> LessonConnection:
    """Connect to a server of the lesson. Raises LinkError."""
    if isinstance(place, str):
        made = LessonConnection.unix(place, timeout=REPLY_WITHIN_S)
    else:
        made = LessonConnection.tcp(*place, timeout=REPLY_WITHIN_S)
    assert isinstance(made, LessonConnection)
    made.machine = machine
    return made


class ShellSurroundings(ClusterSurroundings):
    """The machines of a lesson; what is printed is kept in `text`."""

    def __init__(self, machine: Machine, reach: Reach, given: str | None, consented: bool) -> None:
        self.machine = machine
        self.reach = reach
        self.given = given.encode(errors="surrogateescape") if given is not None else None
        self.no_input = ASKED_EVEN_SO if consented else NO_INPUT
        self.text = ""
        self.waited_s = 0.0
        self.rng = random.Random(1)

    def connect(self, host: str, port: int) -> Connection:
        """Return a connection to a server. Raises LinkError."""
        return open_connection(self.machine, self.reach(host, str(port)))

    def resolve(self, host: str) -> str:
        """Return the address of a host."""
        return host

    def out(self, text: str) -> None:
        """Keep what is printed."""
        self.text += text

    err = out

    def read(self, size: int) -> bytes:
        """Return what was given to the command. Raises Stopped if nothing was."""
        if self.given is None:
            self.out(self.no_input)
            raise Stopped(1)
        end = self.given.find(b"\n") + 1
        end = min(size, end or len(self.given))
        data, self.given = self.given[:end], self.given[end:]
        if not data:
            self.out(self.no_input)
            raise Stopped(1)
        return data

    def random(self, count: int) -> int:
        """Return a number below `count`, the same at every run."""
        return self.rng.randrange(count)

    def sleep(self, seconds: float) -> None:
        """Let the lesson's time pass. Raises Stopped after a while."""
        self.waited_s += seconds
        if self.waited_s > LONGEST_S:
            self.out(ENDED)
            raise Stopped(1)
        self.machine.pass_time(seconds)

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the machine. Raises OSError."""
        self.machine.write(path.removeprefix("./").lstrip("/"), data)


def manage(options: ClusterOptions, machine: Machine, reach: Reach, given: str | None) -> str:
    """Run a subcommand of --cluster; returns what it prints."""
    around = ShellSurroundings(machine, reach, given, options.yes)
    run(options, around)
    return around.text


def call(machine: Machine, reach: Reach, place: Place, argv: Argv, follow: bool) -> tuple[Argv, Any]:
    """Return a command as it was sent, and its reply; redirections are followed if that is asked for."""
    asking = False
    for _ in range(REDIRECTIONS_MAX):
        connection = open_connection(machine, place)
        try:
            if asking:
                connection.call(b"ASKING")
            connection.send(argv)
            reply = connection.read()
        finally:
            connection.close()
        if not follow or not isinstance(reply, ReplyError) or not reply.text.startswith((b"MOVED ", b"ASK ")):
            return argv, reply
        asking = reply.text.startswith(b"ASK ")
        host, _, port = to_text(reply.text).split(" ", 2)[2].rpartition(":")
        place = reach(host, port)
    raise LinkError("Too many redirections")
