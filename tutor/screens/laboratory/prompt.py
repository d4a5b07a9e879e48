"""The line at which actions are typed (`cut A B`), or commands at the console of a node."""

from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from tutor.lab import completer
from tutor.lab.controls import SCREEN_USAGE, examples
from tutor.lab.session import LabSession
from tutor.prompt.words import LINE, shorten
from tutor.screens.laboratory.player import Player

LABEL = 30  # characters of a line that is shown with its progress


class Prompt(Horizontal):
    """The prompt, with completion, hints and what was typed before."""

    BINDINGS: ClassVar = [
        Binding("tab", "complete", "complete", key_display="⇥"),
        Binding("shift+tab", "complete", "complete", show=False),
        Binding("up", "recall(-1)", "line before", show=False),
        Binding("down", "recall(1)", "line after", show=False),
        Binding("escape", "leave", "leave"),
    ]

    class Executed(Message):
        """A line was entered, and done."""

    class Asked(Message):
        """A line about the laboratory itself was entered: a verb of `SCREEN_USAGE`, and the rest."""

        def __init__(self, verb: str, rest: str) -> None:
            super().__init__()
            self.verb = verb
            self.rest = rest

    class Left(Message):
        """The learner has left the prompt."""

    def __init__(self, session: LabSession) -> None:
        super().__init__(id="prompt")
        self._session = session
        self.talking = ""  # whose console is open: what is typed are commands there
        self._typed: list[str] = []  # the last at the end
        self._recalled = 0  # which of them is shown again
        self._offers: list[str] = []  # what the line may become

    def compose(self) -> ComposeResult:
        """Lay out who is talked to, the line, and what may follow."""
        yield Static(":", id="who")
        yield Input(id="line", placeholder=self._examples(), select_on_focus=False)
        yield Static("", id="hint", markup=False)

    @property
    def line(self) -> Input:
        """The line."""
        return self.query_one("#line", Input)

    @property
    def active(self) -> bool:
        """Whether what is typed goes here."""
        return bool(self.talking) or self.screen.focused is self.line

    def begin(self, text: str, talking: str = "", replaced: int = -1) -> None:
        """Begin a line of an action, or at the console of a node; what is typed replaces its end from a column on."""
        self.talk_to(talking)
        self._put(text)
        if replaced >= 0:
            self.line.selection = Selection(replaced, len(text))
        self.screen.set_focus(self.line)

    def talk_to(self, name: str) -> None:
        """Open the console of a node or client; "": what is typed are actions."""
        self.talking = name
        self.query_one("#who", Static).update(f"{self._session.address(name)}>" if name else ":")
        self.line.placeholder = "" if name else self._examples()

    def _examples(self) -> str:
        return examples(self._session.world, self._session.spec.clients)

    def take(self, event: events.Key) -> None:
        """Take what was typed behind the `:` before the line had the focus: keys may come in a burst."""
        if self.screen.focused is self.line and event.is_printable and event.character:
            self.line.insert_text_at_cursor(event.character)
        elif self.screen.focused is None and event.character == ":":
            self.begin("")
        else:
            return
        event.stop()
        event.prevent_default()

    def _put(self, text: str) -> None:
        self.line.value = text
        self.line.cursor_position = len(text)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one("#hint", Static).update(completer.hint(event.value, self.talking))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if not text:
            return
        self.app.clear_notifications()  # what was wrong with the line before
        self._typed = [*(line for line in self._typed if line != text), text]
        self._recalled = len(self._typed)
        if not self.talking or text.startswith(":"):
            verb, _, rest = text.removeprefix(":").strip().partition(" ")
            if verb in SCREEN_USAGE:
                self.line.value = ""
                self._close()
                self.post_message(self.Asked(verb, rest.strip()))
                return
        player = self.screen.query_one(Player)
        if player.working:
            return  # at what was entered before
        self.line.value = ""
        if text.removeprefix(":").startswith("goto "):
            player.guard(partial(self._perform, text))
        else:
            self._perform(text)

    def _perform(self, text: str) -> None:
        player = self.screen.query_one(Player)
        player.perform(self._session.work(text, self.talking), shorten(text, LABEL), self._done, self._failed)
        if player.working:
            self.screen.set_focus(None)

    def _done(self, spoken: str) -> None:
        """Talk from now on to the node or client that was spoken to."""
        if spoken and spoken != self.talking:
            self.talk_to(spoken)
        self._close()
        if self.talking:
            self.screen.set_focus(self.line)
        self.post_message(self.Executed())

    def _failed(self, error: Exception) -> None:
        title = "Not possible; nothing has changed"
        self.notify(shorten(str(error), LINE), title=title, severity="warning", markup=False)
        self._close()

    def _close(self) -> None:
        """Give the letters back their meaning as keys, unless a console is open.

        A line that failed is among those that were typed.
        """
        if not self.talking:
            self.line.value = ""
            self.screen.set_focus(None)

    def action_complete(self) -> None:
        """Complete what is typed; again: what else it may become."""
        value = self.line.value
        if value not in self._offers:
            self._offers = completer.completions(value, self.talking, self._session.world, self._session.spec.clients)
            if not self._offers:
                return
            value = self._offers[-1]
        self._put(self._offers[(self._offers.index(value) + 1) % len(self._offers)])

    def action_recall(self, by: int) -> None:
        """Put another of the lines that were typed into the prompt."""
        self._recalled = max(0, min(len(self._typed), self._recalled + by))
        self._put(self._typed[self._recalled] if self._recalled < len(self._typed) else "")

    def action_leave(self) -> None:
        """Leave the prompt; an open console is closed."""
        self.screen.set_focus(None)
        self.talk_to("")
        self.post_message(self.Left())
