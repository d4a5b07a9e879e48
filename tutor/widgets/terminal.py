"""The learner's terminal: redis-cli's prompt and output, inside the screen.

What was said scrolls up; the prompt follows the last reply as in a real terminal. Below the line being typed stands
the syntax of its command, and after Tab the possible completions. A prediction is asked in the prompt's place. The
widget knows no server: it posts what was entered (`Submitted`, `Answered`) and is told what to show.

Keys are those of readline, and all of them are taken here before Textual sees them, since its own bindings give some
of them (Tab, Ctrl-C, Ctrl-D, Ctrl-W) other meanings. Function keys and Ctrl-P go on to the screen.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual import events
from textual.message import Message
from textual.reactive import var
from textual.timer import Timer

from tutor.widgets.line_editor import LineEditor, columns
from tutor.widgets.rows import Row, RowView, Span, clean, row

TYPING_SECONDS = 0.018  # between two characters of a line that is typed for the learner


class Assist(Protocol):
    """What helps with typing: the screenless prompt module, seen from here."""

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become."""

    def hint(self, text: str) -> Sequence[Span]:
        """Return the syntax of the command being typed, as spans; empty when there is none."""

    def ghost(self, text: str) -> str:
        """Return what the line will probably go on with (from the history); empty when unknown."""

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans; joined they are the line again."""

    def keep(self, line: str) -> None:
        """Remember a line in the history."""


class NoAssist:
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


@dataclass(frozen=True, slots=True)
class Question:
    """A prediction to be made: choose one of `choices`, or type when there are none."""

    id: str
    text: str
    choices: tuple[str, ...] = ()
    command: str = ""  # what runs once the answer is given


class Terminal(RowView):
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
        assist: Assist | None = None,
        history: list[str] | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.channel = ""  # the name under which the screen knows it
        self.assist: Assist = assist or NoAssist()
        self.editor = LineEditor(history, self.assist.keep if assist else None)
        self.question: Question | None = None
        self._choice = 0
        self._completions: list[str] = []
        self._completing = -1
        self._to_type: deque[tuple[str, str | None]] = deque()  # lines to be typed for the learner
        self._typing: Timer | None = None
        self._typed_for: str | None = None
        self.secret = False

    # -- what it is told

    def write(self, rows: Iterable[Row]) -> None:
        """Show output."""
        self.append(rows)

    def write_line(self, text: str, style: str = "plain") -> None:
        """Show one line of output."""
        self.append([row(clean(text), style)])

    def ask(self, question: Question | None) -> None:
        """Put a question in the prompt's place, or take it away."""
        self.question, self._choice = question, 0
        self.editor.set("")
        self._content_changed(follow=True)

    def type_line(self, line: str, typed_for: str | None = None) -> None:
        """Type a line visibly and enter it; several follow one another, each after the reply to the one before."""
        self._to_type.append((line, typed_for))
        self._type_next()

    def suggest(self, line: str) -> None:
        """Put a line at the prompt without entering it."""
        self.editor.set(line)
        self._edited()

    @property
    def is_typing(self) -> bool:
        """Whether lines are being typed for the learner."""
        return self._typing is not None or bool(self._to_type)

    def stop_typing(self) -> None:
        """Leave the rest of what was to be typed."""
        self._to_type.clear()
        if self._typing:
            self._typing.stop()
            self._typing = None
            self.editor.set("")

    def _type_next(self) -> None:
        if self._typing or self.busy or self.question or not self._to_type:
            return
        line, self._typed_for = self._to_type.popleft()
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
            self.call_later(self._type_next)

    def watch_prompt(self) -> None:
        """Show the new prompt."""
        self._content_changed(follow=True)

    # -- drawing

    def tail(self) -> Sequence[Row]:
        """Return the prompt, what is typed, and the help below it; or the question."""
        if self.busy:
            return (Row((("", "plain"), (" ", "cursor"))),)
        if self.question:
            return self._question_rows(self.question)
        text, at = self.editor.text, self.editor.cursor
        if self.secret:
            text = "*" * len(text)
        if self.editor.searching is not None:
            prompt = f"(reverse-i-search)`{self.editor.searching}': "
        else:
            prompt = self.prompt
        ghost = ""
        if at == len(text) and text and self.editor.searching is None:
            ghost = self.assist.ghost(text)
        spans: list[Span] = [(prompt, "prompt"), *self._with_cursor(text, at, ghost), (ghost[1:], "ghost")]
        rows = [Row(tuple(span for span in spans if span[0]))]
        if self._completions:
            width = max(20, (self._width or 80) - 2)
            words = [line.rsplit(" ", 1)[-1] for line in self._completions]
            chosen = self._completing
            for line_at, line in enumerate(columns(words, width)[:6]):
                rows.append(self._completion_row(line, words, chosen, line_at, width))
        elif not self.is_typing and (hint := self.assist.hint(text)):
            rows.append(Row((("  ", "plain"), *hint), indent=4))
        return rows

    def _with_cursor(self, text: str, at: int, ghost: str = "") -> list[Span]:
        """Return the line's spans with the cursor's place marked."""
        spans: list[Span] = []
        seen = 0
        for part, style in ((text, "command"),) if self.secret else self.assist.highlight(text):
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
        rows = [Row((("? ", "changed"), (question.text, "strong")), indent=2)]
        if question.command:
            rows.append(Row((("  before you run  ", "dim"), (question.command, "command")), indent=2))
        for number, choice in enumerate(question.choices):
            chosen = number == self._choice
            mark = "▸" if chosen else " "
            rows.append(
                Row(
                    (
                        (f" {mark} {number + 1}  ", "changed" if chosen else "dim"),
                        (choice, "strong" if chosen else "plain"),
                    ),
                    data=("choice", number),
                    indent=6,
                )
            )
        if question.choices:
            rows.append(row("  ↑ ↓ or a number, then Enter   (Esc: later)", "dim"))
        else:
            spans = self._with_cursor(self.editor.text, self.editor.cursor)
            rows.append(Row((("  your guess: ", "dim"), *spans)))
        return rows

    def _edited(self) -> None:
        self._completions, self._completing = [], -1
        self._content_changed(follow=True)

    # -- keys

    def on_focus(self) -> None:
        """Show a lively cursor."""
        self._style_cache.clear()
        self.refresh()

    def on_blur(self) -> None:
        """Show a faint cursor."""
        self._style_cache.clear()
        self.refresh()

    async def on_key(self, event: events.Key) -> None:
        """Take what a terminal takes; let the rest go to the screen."""
        if self._take(event.key, event.character):
            event.stop()
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Insert pasted text; every line but the last is entered."""
        if self.busy or (self.question and self.question.choices):
            return
        *whole, last = event.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in whole:
            self.type_line(self.editor.text + line)
            self.editor.set("")
        self.editor.insert(last)
        self._edited()
        event.stop()

    def _take(self, key: str, character: str | None) -> bool:
        if self._typing and key not in ("ctrl+c", "escape"):
            return bool(character) and key not in ("ctrl+p", "ctrl+q")
        if key == "ctrl+c":
            if self.screen.get_selected_text():
                return False
            if self.is_typing:
                self.stop_typing()
                self.post_message(self.Interrupted(self))
            elif self.busy:
                self.post_message(self.Interrupted(self))
            else:
                self.editor.set("")
            self._edited()
            return True
        if key in ("pageup", "pagedown"):
            (self.scroll_page_up if key == "pageup" else self.scroll_page_down)(animate=False)
            return True
        if self.busy:
            return character is not None and character.isprintable()
        if self.question:
            return self._take_answer(self.question, key, character)
        if key == "enter":
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

    def _take_ghost(self) -> bool:
        text = self.editor.text
        if not text or self.editor.cursor < len(text) or not (ghost := self.assist.ghost(text)):
            return False
        self.editor.set(text + ghost)
        self._edited()
        return True

    def _take_answer(self, question: Question, key: str, character: str | None) -> bool:
        if not question.choices:
            if key == "escape":
                self.put_off()
            elif key == "enter":
                if answer := self.editor.text.strip():
                    self._answer(question, answer)
            elif not self.editor.key(key, character):
                return False
            self._content_changed(follow=True)
            return True
        if key in ("up", "down", "tab"):
            self._choice = (self._choice + (-1 if key == "up" else 1)) % len(question.choices)
        elif character and character.isdigit() and 1 <= int(character) <= len(question.choices):
            self._choice = int(character) - 1
        elif key == "enter":
            self._answer(question, question.choices[self._choice])
        elif key == "escape":
            self.put_off()
        else:
            return False
        self._content_changed(follow=True)
        return True

    def put_off(self) -> None:
        """Take the question away for now."""
        self.ask(None)
        self.append([row("  put off; F7 asks it again", "note")])

    def _answer(self, question: Question, answer: str) -> None:
        self.question = None
        self.editor.set("")
        self.append([Row((("? ", "changed"), (question.text, "dim")), indent=2)])
        self.append([Row((("  you say: ", "dim"), (answer, "strong")), indent=2)])
        self.post_message(self.Answered(self, question, answer))

    def _submit(self) -> None:
        shown = "*" * len(self.editor.text) if self.secret else self.editor.text
        if self.secret:
            line, self.editor.text = self.editor.text, ""
            self.editor.set("")
        else:
            line = self.editor.take()
        self._completions = []
        self.busy = True  # until whoever carries it out says that it is done
        spans = ((shown, "command"),) if self.secret else self.assist.highlight(clean(shown))
        self.append([Row(((self.prompt, "prompt"), *spans))])
        typed_for, self._typed_for = self._typed_for, None
        self.post_message(self.Submitted(self, line, typed_for))

    def _complete(self, step: int) -> None:
        if not self._completions:
            text = self.editor.text[: self.editor.cursor]
            found = list(dict.fromkeys(self.assist.complete(text)))
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
