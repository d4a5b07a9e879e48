"""The learner's terminal: redis-cli's prompt and output, inside the screen.

Output scrolls up; the prompt follows the last reply, as in a real terminal. The syntax of the command appears below
the line being typed, and the possible completions after Tab. A prediction replaces the prompt. The widget does not
know the server: it posts what was entered (`Submitted`, `Answered`), and its methods show the results.

Keys are those of readline, and all of them are taken here before Textual sees them, since its own bindings give some
of them (Tab, Ctrl-C, Ctrl-D, Ctrl-W) other meanings. Function keys and Ctrl-P go on to the screen.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.reactive import var
from textual.timer import Timer

from tutor.answers import again, choose, labels
from tutor.lesson.scrollback import Scrollback
from tutor.lesson.transcript import CONTINUED
from tutor.lesson.view import Question
from tutor.prompt.completer import Completer
from tutor.prompt.rows import Row, Span, clean, row
from tutor.prompt.words import LINE, shorten
from tutor.widgets.line_editor import LineEditor, columns
from tutor.widgets.rows import RowView

WINDOW = 1000  # characters of a line that are drawn while it is edited
WELCOME = (  # each fits into a line of 78 columns
    "The text says what to try. Below is the prompt of a real server: type there.",
    "F7 types the next example for you, F2 gives a hint, F4 undoes, F8 goes on.",
    "You cannot break anything, and nothing is lost. (Gone with the first key.)",
)
TYPING_SECONDS = 0.018  # between two characters of a line that is typed for the learner
AHEAD_SECONDS = 2.0  # for which a function key waits for the keys that were typed ahead of it


class NoCompleter:
    """No help at all."""

    def complete(self, text: str) -> Sequence[str]:
        """Complete nothing."""
        return ()

    def hint(self, text: str) -> Sequence[Span]:
        """Hint at nothing."""
        return ()

    def ghost(self, text: str) -> str:
        """Guess nothing."""
        return ""

    def highlight(self, text: str) -> Sequence[Span]:
        """Draw the line plainly."""
        return ((text, "command"),)

    def keep(self, line: str) -> None:
        """Remember nothing."""

    def is_command(self, line: str, whole: bool = False) -> bool:
        """Know no command."""
        return False


class Terminal(RowView, inherit_bindings=False):
    """One terminal with its prompt."""

    FOLLOWS: ClassVar[bool] = True
    MAX_ROWS: ClassVar[int] = 8000

    DEFAULT_CSS = """
    Terminal { padding: 0 0 0 1; }
    Terminal .rows--cursor { text-style: none; background: $rule; }
    Terminal:focus .rows--cursor { text-style: none; background: $foreground; color: $background; }
    """

    busy: var[bool] = var(False)
    prompt: var[str] = var("redis> ")

    class Submitted(Message):
        """A line was entered."""

        def __init__(self, terminal: "Terminal", line: str, typed_for: str | None = None) -> None:
            super().__init__()
            self.terminal, self.line, self.typed_for = terminal, line, typed_for

        @property
        def control(self) -> "Terminal":
            """The terminal it was entered in."""
            return self.terminal

    class Answered(Message):
        """A question was answered, with a choice's text or what was typed."""

        def __init__(self, terminal: "Terminal", question: Question, answer: str) -> None:
            super().__init__()
            self.terminal, self.question, self.answer = terminal, question, answer

    class PutOff(Message):
        """A question was put off."""

        def __init__(self, terminal: "Terminal", question: Question) -> None:
            super().__init__()
            self.terminal, self.question = terminal, question

    class Interrupted(Message):
        """Ctrl-C while a command runs or blocks."""

        def __init__(self, terminal: "Terminal") -> None:
            super().__init__()
            self.terminal = terminal

    class Left(Message):
        """Ctrl-D on an empty line."""

        def __init__(self, terminal: "Terminal") -> None:
            super().__init__()
            self.terminal = terminal

    def __init__(
        self,
        *,
        completer: Completer | None = None,
        history: list[str] | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.channel = ""  # the name under which the screen knows it
        self._scrollback: Scrollback | None = None
        self._draft = ""  # what is kept of the line that is being typed
        self._returned = ""  # what was being typed when the lesson was left or a line typed for the learner
        self.completer: Completer = completer or NoCompleter()
        self.editor = LineEditor(history, self.completer.keep if completer else None)
        self.question: Question | None = None
        self._choice = 0
        self._unread = ""  # why the entered answer was not taken
        self._completions: list[str] = []
        self._completing = -1
        self._to_type: deque[tuple[str, str | None]] = deque()  # lines to be typed for the learner
        # What was typed before the prompt returned, and what to do after it.
        self._typed_ahead: deque[tuple[str, str | None] | Callable[[], object]] = deque()
        self._typing: Timer | None = None
        self._typed_for: str | None = None
        self.secret = False
        self._welcome: tuple[str, ...] = ()

    # -- what to show

    def end_welcome(self) -> None:
        """Take the words to a newcomer away."""
        if self._welcome:
            self._welcome = ()
            self._content_changed(follow=True)

    def remember(self, scrollback: Scrollback | None) -> None:
        """Show what was shown when the lesson was left, and keep what is shown from now on."""
        if scrollback is not None:
            super().append(scrollback.rows(self.channel))
            self._draft = self._returned = scrollback.draft(self.channel)
        self._scrollback = scrollback

    def append(self, rows: Iterable[Row], follow: bool = True) -> None:
        """Add rows at the end, and keep them."""
        rows = list(rows)
        super().append(rows, follow)
        if self._scrollback is not None:
            self._scrollback.add(self.channel, rows)

    def _content_changed(self, follow: bool) -> None:
        self.set_class(self.question is not None, "-asked")  # which gives it more room
        super()._content_changed(follow)
        self._keep_draft()

    def _keep_draft(self) -> None:
        """Keep what is being typed: the program may be killed at any moment."""
        if self._scrollback is None or self._returned or self._typing is not None or self.secret:
            return
        if self.editor.text != self._draft:
            self._draft = self.editor.text
            self._scrollback.keep_draft(self.channel, self._draft)

    def _return_draft(self) -> None:
        """Put what was being typed at the prompt again, once nothing else is typed there."""
        if not self._returned or self.busy or self.is_typing:
            return
        text, self._returned = self._returned, ""
        if self.editor.text or self._typed_ahead:  # the learner has gone on already
            self.editor.remember(text)
        else:
            self.editor.set(text)
            self._edited()

    def clear(self) -> None:
        """Forget all rows."""
        super().clear()
        if self._scrollback is not None:
            self._scrollback.clear(self.channel)

    def write(self, rows: Iterable[Row]) -> None:
        """Show output."""
        self.append(rows)

    def write_line(self, text: str, style: str = "plain") -> None:
        """Show a line of output, or several."""
        self.append([row(clean(line), style) for line in text.split("\n")])

    def ask(self, question: Question | None) -> None:
        """Put a question in the prompt's place, or take it away, with what was typed as its answer.

        What is being typed at the prompt stays when a question comes.
        """
        if question is None and self.question is None:
            return
        if self.question is not None and question != self.question and self._typing is None:
            self.editor.set("")
        self.question, self._choice, self._unread = question, 0, ""
        self._content_changed(follow=True)

    def type_line(self, line: str, typed_for: str | None = None) -> None:
        """Type a line visibly and enter it; several follow one another, each after the reply to the one before."""
        self._to_type.append((line, typed_for))
        self._type_next()

    def enter(self, line: str, typed_for: str | None = None) -> None:
        """Enter a line that comes from the editor; what is being typed here stays."""
        self.busy = True
        shown = clean(shorten(line, LINE))
        self.append([Row(((self.prompt, "prompt"), *self.completer.highlight(shown)))])
        self.post_message(self.Submitted(self, line, typed_for))

    def suggest(self, line: str) -> None:
        """Put a line at the prompt without entering it."""
        self.editor.set(line)
        self._edited()

    @property
    def is_typing(self) -> bool:
        """Whether lines are being typed for the learner."""
        return self._typing is not None or bool(self._to_type)

    @property
    def has_typed_ahead(self) -> bool:
        """Whether something was typed before the prompt returned."""
        return bool(self._typed_ahead)

    @property
    def _is_taken(self) -> bool:
        """Whether the prompt is currently unavailable to the learner."""
        return self._typing is not None or (bool(self._to_type) and self.question is None)

    def stop_typing(self) -> None:
        """Leave the rest of what was to be typed."""
        self._to_type.clear()
        if self._typing:
            self._typing.stop()
            self._typing = None
            self.editor.set("")
        self._returned = ""

    def _type_next(self) -> None:
        if self._typing or self.busy or self.question or not self._to_type:
            return
        line, self._typed_for = self._to_type.popleft()
        self._returned = self._returned or self.editor.text
        self.editor.set("")
        if self.app.animation_level == "none":
            self.editor.set(line)
            self._submit()
            return
        rest = deque(line)

        def type_one() -> None:
            if rest:
                self.editor.insert(rest.popleft())
                self._edited()
            elif self._typing:
                self._typing.stop()
                self._typing = None
                self._submit()

        self._typing = self.set_interval(TYPING_SECONDS, type_one)

    def watch_busy(self, busy: bool) -> None:
        """Hide the prompt while a command runs; go on with what was to be typed when it is done."""
        self._content_changed(follow=True)
        if not busy:
            self.call_later(self._go_on)

    def _go_on(self) -> None:
        self._type_next()
        self._return_draft()
        self._take_typed_ahead()

    def watch_prompt(self) -> None:
        """Show the new prompt."""
        self._content_changed(follow=True)

    # -- drawing

    def tail(self) -> Sequence[Row]:
        """Return the prompt, what is typed, and the help below it; or the question."""
        if self._welcome and not self.question:
            return [*(row(text, "note") for text in self._welcome), *self._prompt_rows()]
        return self._prompt_rows()

    def _prompt_rows(self) -> Sequence[Row]:
        if self.busy:
            return (Row((("", "plain"), (" ", "cursor"))),)
        if self.question:
            return self._question_rows(self.question)
        text, at = self._window(self.editor.text, self.editor.cursor)
        if self.secret:
            text = "*" * len(text)
        if self.editor.searching is not None:
            prompt = f"(reverse-i-search)`{self.editor.searching}': "
        else:
            prompt = self.prompt
        ghost = ""
        if at == len(text) and text and self.editor.searching is None:
            ghost = self.completer.ghost(text)[:WINDOW]
        spans: list[Span] = [(prompt, "prompt"), *self._with_cursor(text, at, ghost), (ghost[1:], "ghost")]
        rows = [Row(tuple(span for span in spans if span[0]))]
        if self._completions:
            width = max(20, (self._width or 80) - 2)
            words = [line.rsplit(" ", 1)[-1] for line in self._completions]
            chosen = self._completing
            for line_at, line in enumerate(columns(words, width)[:6]):
                rows.append(self._completion_row(line, words, chosen, line_at, width))
        elif not self.is_typing and len(self.editor.text) <= WINDOW and (hint := self.completer.hint(text)):
            rows.append(Row((("  ", "plain"), *hint), indent=4, words=True))
        return rows

    @staticmethod
    def _window(text: str, at: int) -> tuple[str, int]:
        """Return the visible part of the edited line around the cursor: a pasted or recalled line may be long."""
        if len(text) <= WINDOW:
            return text, at
        start = max(0, min(at - WINDOW // 2, len(text) - WINDOW))
        before, end = "…" if start else "", "…" if start + WINDOW < len(text) else ""
        return before + text[start : start + WINDOW] + end, at - start + len(before)

    def _with_cursor(self, text: str, at: int, ghost: str = "") -> list[Span]:
        """Return the line's spans with the cursor's place marked."""
        spans: list[Span] = []
        seen = 0
        for part, style in ((text, "command"),) if self.secret else self.completer.highlight(text):
            inside = at - seen
            if 0 <= inside < len(part):
                spans += [(part[:inside], style), (part[inside], "cursor"), (part[inside + 1 :], style)]
            else:
                spans.append((part, style))
            seen += len(part)
        if at >= len(text):
            spans.append((ghost[:1] or " ", "cursor"))
        return spans

    def _completion_row(self, line: str, words: list[str], chosen: int, line_at: int, width: int) -> Row:
        cell = max(map(len, words)) + 2
        per_row = max(1, width // cell)
        first = line_at * per_row
        spans: list[Span] = [("  ", "plain")]
        for number, word in enumerate(words[first : first + per_row], first):
            spans += [(word, "choice" if number == chosen else "dim"), (" " * (cell - len(word)), "plain")]
        return Row(tuple(spans))

    def _question_rows(self, question: Question) -> list[Row]:
        rows = [Row((("? ", "changed"), (question.text, "strong")), indent=2, words=True)]
        if question.command:
            rows.append(Row((("  before you run  ", "dim"), (question.command, "command")), indent=2))
        for number, (label, choice) in enumerate(zip(labels(question.choices), question.choices, strict=True)):
            chosen = number == self._choice
            mark = "▸" if chosen else " "
            rows.append(
                Row(
                    (
                        (f" {mark} {label}  ", "changed" if chosen else "dim"),
                        (choice, "strong" if chosen else "plain"),
                    ),
                    data=("choice", number),
                    indent=6,
                    words=True,
                )
            )
        if question.choices and not self.editor.text:
            kind = "number" if labels(question.choices)[0] == "1" else "letter"
            rows.append(row(f"  ↑ ↓ or a {kind}, then Enter   (Esc: later)", "dim"))
        else:
            spans = self._with_cursor(*self._window(self.editor.text, self.editor.cursor))
            rows.append(Row((("  your guess: ", "dim"), *spans)))
        if self._unread:
            rows.append(Row(((f"  {self._unread}", "changed"),), indent=2, words=True))
        return rows

    def _edited(self) -> None:
        self._completions, self._completing = [], -1
        self._content_changed(follow=True)

    # -- keys

    def on_focus(self) -> None:
        """Show a lively cursor."""
        self._forget_styles()
        self.refresh()

    def on_blur(self) -> None:
        """Show a faint cursor."""
        self._forget_styles()
        self.refresh()

    async def on_key(self, event: events.Key) -> None:
        """Take what a terminal takes; let the rest go to the screen."""
        if self.take(event):
            event.stop()
            event.prevent_default()

    def take(self, event: events.Key) -> bool:
        """Handle a key, if a terminal handles it."""
        self.end_welcome()
        if self._typed_ahead and event.key not in ("ctrl+c", "escape"):  # it comes after that
            taken = self._later(event.key, event.character)
            self._take_typed_ahead()
            return taken
        return self._take(event.key, event.character)

    def _later(self, key: str, character: str | None) -> bool:
        """Buffer what is typed before the prompt returns, as a terminal does."""
        if key not in ("enter", "ctrl+j", "backspace", "tab") and not (character and character.isprintable()):
            return False
        self._typed_ahead.append((key, character))
        return True

    def type_ahead(self, key: str, character: str | None) -> None:
        """Keep a key that was typed before there was a prompt."""
        self._later(key, character)

    def welcome(self) -> None:
        """Say to a newcomer what is what, until the first key."""
        self._welcome = WELCOME
        self._content_changed(follow=True)

    def after_keys(self, function: Callable[[], object]) -> None:
        """Call a function after the keys that were typed ahead, unless what runs takes too long."""
        if not self._typed_ahead:
            function()
            return

        def no_longer() -> None:
            if function in self._typed_ahead:
                self._typed_ahead.remove(function)
                function()

        self._typed_ahead.append(function)
        self.set_timer(AHEAD_SECONDS, no_longer)

    def _take_typed_ahead(self) -> None:
        while self._typed_ahead and not self.busy and not self._is_taken:
            typed = self._typed_ahead.popleft()
            if isinstance(typed, tuple):
                self._take(*typed)
            else:
                typed()

    def on_paste(self, event: events.Paste) -> None:
        """Insert pasted text; every line but the last is entered."""
        if self.busy or self._is_taken or self._typed_ahead:
            for character in event.text.replace("\r\n", "\n").replace("\r", "\n"):
                self.type_ahead("enter" if character == "\n" else character, character)
            event.stop()
            return
        if self.question:  # an answer has one line
            self.editor.insert(" ".join(event.text.split()))
            self._edited()
            event.stop()
            return
        *whole, last = event.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in whole:
            line = self.editor.text + line
            self.editor.set("")
            self.type_line(line)
        self.editor.insert(last)
        self._edited()
        event.stop()

    def _take(self, key: str, character: str | None) -> bool:
        if self._is_taken and key not in ("ctrl+c", "escape"):
            return self._later(key, character)
        if key == "ctrl+c":
            if self.screen.get_selected_text():
                return False
            self._typed_ahead.clear()
            if self.is_typing:
                self.stop_typing()
                self.post_message(self.Interrupted(self))
            elif self.busy or self.prompt == CONTINUED or self._leaves_subscriptions:
                self.post_message(self.Interrupted(self))
            else:
                self.editor.set("")
            self._edited()
            return True
        if self.busy:
            return self._later(key, character)
        if self.question:
            return self._take_answer(self.question, key, character)
        if key in ("enter", "ctrl+j"):
            self._submit()
        elif key == "tab":
            self._complete(1)
        elif key == "shift+tab" and self._completions:
            self._complete(-1)
        elif key == "ctrl+l":
            self.clear()
        elif key == "ctrl+d":
            if self.editor.text:
                self.editor.delete()
                self._edited()
            else:
                self.post_message(self.Left(self))
        elif key in ("right", "end", "ctrl+e", "ctrl+f") and self._take_ghost():
            pass
        elif (key == "escape" and self._completions) or self.editor.key(key, character):
            self._edited()
        else:
            return False
        return True

    @property
    def _leaves_subscriptions(self) -> bool:
        """Whether Ctrl-C means the subscriptions, not the line."""
        return "(subscribed mode)" in self.prompt and not self.editor.text

    def _take_ghost(self) -> bool:
        text = self.editor.text
        if not text or self.editor.cursor < len(text) or not (ghost := self.completer.ghost(text)):
            return False
        self.editor.set(text + ghost)
        self._edited()
        return True

    def _take_answer(self, question: Question, key: str, character: str | None) -> bool:
        """Handle a key of an answer: every printable key, so that no letter triggers a key binding of the screen."""
        text = self.editor.text
        if key in ("up", "down", "tab", "shift+tab") and question.choices:
            step = -1 if key in ("up", "shift+tab") else 1
            self._choice = (self._choice + step) % len(question.choices)
            self._unread = ""
            self.editor.set("")
        elif key == "escape":
            if text and question.choices:
                self.editor.set("")
                self._unread = ""
            else:
                self.put_off()
        elif key == "enter":
            meant = choose(question.choices, text) if text.strip() else self._choice
            if question.choices and meant is not None:
                self._answer(question, question.choices[meant])
            elif not question.wants_command and self.completer.is_command(text.strip(), whole=not question.choices):
                self._submit()  # it runs, and the question stays
            elif question.choices:
                self._unread = again(question.choices, text)
                self.append(
                    [Row((("  your guess: ", "dim"), (clean(shorten(text.strip(), LINE)), "plain")), indent=4)]
                )
                self.editor.set("")
            elif text.strip():
                self._answer(question, text.strip())
        elif not self.editor.key(key, character):
            return False
        elif question.choices:
            self._unread = ""
            meant = choose(question.choices, self.editor.text)
            self._choice = self._choice if meant is None else meant
        self._content_changed(follow=True)
        return True

    def put_off(self) -> None:
        """Take the question away for now."""
        question = self.question
        self.editor.set("")
        self.ask(None)
        self.append([row("  put off; F7 or the next F8 asks it again", "note")])
        if question is not None:
            self.post_message(self.PutOff(self, question))

    def _answer(self, question: Question, answer: str) -> None:
        self.question = None
        self.editor.set("")
        self.append([Row((("? ", "changed"), (question.text, "dim")), indent=2, words=True)])
        self.append([Row((("  you say: ", "dim"), (shorten(answer, LINE), "strong")), indent=2, words=True)])
        self.post_message(self.Answered(self, question, answer))

    def _submit(self) -> None:
        shown = "*" * len(self.editor.text) if self.secret else self.editor.text
        if self.secret:
            line, self.editor.text = self.editor.text, ""
            self.editor.set("")
        else:
            line = self.editor.take()
        self._completions = []
        self.busy = True  # until the controller reports that it has been executed
        shown = shorten(shown, LINE)
        spans = ((shown, "command"),) if self.secret else self.completer.highlight(clean(shown))
        self.append([Row(((self.prompt, "prompt"), *spans))])
        typed_for, self._typed_for = self._typed_for, None
        self.post_message(self.Submitted(self, line, typed_for))

    def _complete(self, step: int) -> None:
        if not self._completions:
            text = self.editor.text[: self.editor.cursor]
            found = list(dict.fromkeys(self.completer.complete(text)))
            if not found:
                return
            if len(found) == 1:
                self.editor.set(found[0] + self.editor.text[self.editor.cursor :], len(found[0]))
                self._edited()
                return
            self._completions, self._completing = found, -1 if step > 0 else 0
        self._completing = (self._completing + step) % len(self._completions)
        self.editor.set(self._completions[self._completing])
        self._content_changed(follow=True)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Choose an answer with the mouse."""
        if self.question and isinstance(message.data, tuple) and message.data[0] == "choice":
            message.stop()
            self._answer(self.question, self.question.choices[message.data[1]])
            self._content_changed(follow=True)
