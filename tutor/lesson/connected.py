"""A real server in the place of the sandbox's: the learner's own, or one at work.

Pictures, `:why` and hints are those of a lesson. Unless writes are allowed, a command that may write or change the
server is not sent. Nothing is kept, and nothing is taken back.
"""

from collections.abc import Sequence
from pathlib import Path

from tutor.lesson import messages as m
from tutor.lesson import model
from tutor.lesson.actions import completions
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.controller import LessonController
from tutor.lesson.real_server import NOT_TAKEN_BACK, READ_ONLY, RealServer, may_run, parse_address
from tutor.lesson.view import ProseView, StepView
from tutor.prompt import LineHistory, to_text
from tutor.prompt.completer import PromptCompleter

NAME = "connected"
WRITE = "write"
ABOUT = """\
This is the server at {address}, {mode}

- Pictures, keys and `:why` are read with commands that change nothing, a few at a time. The server counts them like
  those of any client.
- `:picture KEY` draws a key, `:picture memory`, `persistence`, `replication` and `clients` parts of the server.
- There is no undo: {not_back}
"""
READS = "and you can only read: the tutor does not send a command that may change it."
WRITES = "and **what you type is executed there**, writes included."


class Connected(LessonController):
    """The controller of a real server."""

    def __init__(self, where: str, history: LineHistory | None = None) -> None:
        """Make the controller. `where` is the address, and `write` after it if writes are allowed. ValueError."""
        address, _, word = where.strip().partition(" ")
        self._address = parse_address(address)
        self._typed_address, self.writes = address, word.strip() == WRITE
        front = model.FrontMatter(id=NAME, title=str(self._address), chapter=0, order=0, minutes=0, wrong_idea="")
        lesson = model.Lesson("", front, (model.Step(1, "A real server", (), 1),), ("redis",))
        super().__init__(lesson, Catalogue(Path()), None, history, real=RealServer(self._address))

    def _prepare(self) -> None:
        assert self.real is not None
        self.real.inspect([b"PING"])
        self.server = self.real

    def completer(self, terminal: str) -> PromptCompleter:
        """See `Sandbox`."""
        return PromptCompleter(self.kept, self._key_names, completions(NAME))

    def step(self) -> StepView:
        """See `Sandbox`."""
        mode = WRITES if self.writes else READS
        text = ABOUT.format(address=self._address, mode=mode, not_back=NOT_TAKEN_BACK[0].lower() + NOT_TAKEN_BACK[1:])
        return StepView(NAME, self.title, "Redis", 1, 1, (False,), "A real server", (ProseView(text),), 0, True)

    def _refusal(self, argv: Sequence[bytes]) -> str:
        """See `Sandbox`. What may write is not sent."""
        allowed = self.writes or may_run(argv)
        return "" if allowed else READ_ONLY.format(to_text(argv[0]).upper(), self._typed_address)

    async def act(self, action: str) -> None:
        """See `Controller`."""
        if action.split(" ")[0] in ("why", "picture"):
            await super().act(action)
        else:
            self._post(m.Notice(NOT_TAKEN_BACK))

    def mark(self) -> int:
        """See `Sandbox`; there is nothing to note."""
        return 0
