"""What is typed in a lesson: lines and answers on their way to the controller, and what was typed too early."""

from textual import events, on
from textual.message import Message

from tutor.lesson import messages as m
from tutor.lesson.actions import RESET_LESSON, Action, help_line, offered, parse, terminals_are, unknown
from tutor.lesson.front_end import Controller
from tutor.prompt.rows import row
from tutor.widgets.focus import focus_soon
from tutor.widgets.news import shows
from tutor.widgets.terminal import Terminal
from tutor.widgets.terminals import Terminals


class LessonTerminals(Terminals):
    """The terminals of a lesson."""

    class ActionTyped(Message):
        """An action was typed at the prompt: `:undo`, `:picture KEY`."""

        def __init__(self, action: Action, argument: str) -> None:
            super().__init__()
            self.action, self.argument = action, argument

    class Asked(Message):
        """An action was requested, to be done after what was typed before it."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, controller: Controller) -> None:
        super().__init__("terminals")
        self.controller = controller
        self._place = "lesson"
        self._prompts_held: dict[str, m.PromptShown] = {}  # by terminal: shown when all is said before it
        self._typed_early: list[tuple[str, str | None]] = []  # keys that came before there was a terminal

    @shows(m.LessonOpened)
    async def open(self, news: m.LessonOpened) -> None:
        """Make the terminals, with what was typed before they were there."""
        self._place = news.setup.place
        await self.set_up(news.setup.terminals, self._terminal)
        if terminal := self.now:
            if news.setup.newcomer and not self._typed_early:
                terminal.welcome()
            for key, character in self._typed_early:
                terminal.type_ahead(key, character)
            self._typed_early.clear()
            focus_soon(terminal)

    def _terminal(self, name: str) -> Terminal:
        terminal = Terminal(completer=self.controller.completer(name), history=self.controller.history(name))
        terminal.channel = name
        terminal.border_title = name
        terminal.remember(self.controller.scrollback)
        terminal.busy = True  # until the lesson is where it was left
        return terminal

    @shows(m.PromptShown)
    def show_prompt(self, news: m.PromptShown) -> None:
        """Show a prompt; lines that were typed ahead follow what is said of the line before them."""
        is_held = news.terminal in self._prompts_held
        if news.busy or not self[news.terminal].has_typed_ahead:
            self._prompts_held.pop(news.terminal, None)
            super().show_prompt(news)
            return
        self._prompts_held[news.terminal] = news
        if not is_held:
            self.run_worker(self._show_prompt_later(news.terminal), group="prompt")

    async def _show_prompt_later(self, terminal: str) -> None:
        await self.controller.noted()
        if (news := self._prompts_held.pop(terminal, None)) is not None:
            super().show_prompt(news)

    @shows(m.Suggested)
    def suggest(self, news: m.Suggested) -> None:
        """Put a line at a prompt."""
        self.current = news.terminal
        focus_soon(self[news.terminal])
        self[news.terminal].suggest(news.line)

    def take(self, event: events.Key) -> None:
        """Take a key that came to another widget, wherever the focus is.

        Keys may arrive in a burst: some may still arrive elsewhere after a terminal has received the focus.
        """
        terminal = self.now
        if terminal is not None:
            terminal.end_welcome()
        elif event.is_printable or event.key in ("enter", "backspace"):
            event.stop()
            self._typed_early.append((event.key, event.character))
        if event.is_printable and terminal is not None:
            event.stop()
            event.prevent_default()
            focus_soon(terminal)
            terminal.take(event)

    def act(self, action: str) -> None:
        """Ask the screen to do something once it has heard of every key that was pressed before.

        A function key overtakes the keys that the terminal has not yet taken.
        """
        if terminal := self.now:  # behind what it submits
            terminal.call_later(terminal.after_keys, lambda: terminal.post_message(self.Asked(action)))
        else:
            self.call_later(lambda: self.post_message(self.Asked(action)))

    @on(Terminal.Submitted)
    def _submitted(self, message: Terminal.Submitted) -> None:
        message.stop()
        line, terminal = message.line.strip(), message.terminal
        for each in self.query(Terminal):
            each.end_welcome()
        raw = self.controller.keeps_blanks(terminal.channel)
        if (line or raw) and line not in ("clear", "exit", "quit") and not line.startswith(":"):
            line = message.line if raw else line
            self.run_worker(self.controller.submit(terminal.channel, line, message.typed_for), group="submit")
            return
        terminal.busy = False
        if line == "clear":
            terminal.clear()
        elif line in ("exit", "quit"):
            self.post_message(Terminal.Left(terminal))
        elif line:
            self._action_typed(line[1:], terminal)

    def _action_typed(self, line: str, terminal: Terminal) -> None:
        action, argument = parse(line)
        if not line or (action is not None and action.name == "help"):
            rows = [(each.word, help_line(each, self._place)) for each in offered(self._place)]
            terminal.append(row(f"{name:<14}{text}", "note", indent=14) for name, text in rows)
        elif action is not None and action.name == "terminal":
            self._change_to(argument, terminal)
        elif action is not None and action.name == "quit":
            self.post_message(Terminal.Left(terminal))
        elif action is None or action not in (RESET_LESSON, *offered(self._place)) or not action.is_in(self._place):
            terminal.write_line(unknown(line, self._place), "error")
        else:
            self.post_message(self.ActionTyped(action, argument))

    def _change_to(self, name: str, terminal: Terminal) -> None:
        """Choose a terminal by its name, or say which there are."""
        if name in self.names:
            self.choose(name)
        else:
            terminal.write_line(terminals_are(self.names, self.current), "note")

    @on(Terminal.Answered)
    def _answered(self, message: Terminal.Answered) -> None:
        message.stop()
        message.terminal.busy = True
        self.run_worker(
            self.controller.answer(message.terminal.channel, message.question, message.answer), group="submit"
        )

    @on(Terminal.PutOff)
    def _put_off(self, message: Terminal.PutOff) -> None:
        message.stop()
        self.run_worker(self.controller.act("later"), group="act")

    @on(Terminal.Interrupted)
    def _interrupted(self, message: Terminal.Interrupted) -> None:
        message.stop()
        self.run_worker(self.controller.interrupt(message.terminal.channel), group="interrupt")
