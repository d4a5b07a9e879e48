"""The prompt on a terminal, with prompt-toolkit: what `tutor.prompt` knows, drawn and bound to keys.

Tab completes commands, keywords and keys; Ctrl-R searches the history; what may follow stands in grey behind the
cursor and, whole, on the bottom line; Ctrl-C clears the line, Ctrl-D leaves. While messages are shown (subscribed,
MONITOR) any key or Ctrl-C comes back. No meaning is carried by color alone, and NO_COLOR is honored.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Offer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History as ToolkitHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.search import accept_search_and_accept_input
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.lexers import DynamicLexer, Lexer
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.shortcuts import CompleteStyle, clear
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from engine.protocol.errors import ReplyError
from tutor.cli.debugger import COMMANDS as DEBUGGER_COMMANDS
from tutor.cli.debugger import Debugging
from tutor.cli.repl import Repl
from tutor.cli.session import CliSession
from tutor.client import Connection, LinkError
from tutor.ending import by_signal
from tutor.prompt import (
    CommandDoc,
    CommandDocs,
    Completion,
    CompletionContext,
    LineHistory,
    complete,
    highlight,
    reply_spans,
    syntax,
)
from tutor.prompt.commands import parse_version
from tutor.prompt.completion import CLIENT_COMMANDS
from tutor.prompt.grammar import Argument
from tutor.prompt.highlight import CLIENT_COMMANDS as CLIENT_WORDS
from tutor.prompt.hints import inline_hint
from tutor.prompt.history import default_path
from tutor.prompt.replies import elements
from tutor.prompt.words import to_bytes, to_text

# Only the sixteen colors every terminal has, and mostly its own: a theme, light or dark, stays readable.
_STYLE = Style.from_dict(
    {
        "command": "bold",
        "unknown": "",
        "client": "bold italic",
        "repeat": "ansicyan",
        "token": "ansicyan",
        "key": "ansiyellow",
        "number": "ansimagenta",
        "string": "ansigreen",
        "argument": "",
        "error": "ansired underline",
        "hint": "ansibrightblack",
        "auto-suggestion": "ansibrightblack",
        "bottom-toolbar": "noreverse",
        "bottom-toolbar.text": "noreverse",
        "syntax": "ansibrightblack",
        "syntax.command": "noreverse bold",
        # not the library's black on grey, which without colors would be black on black
        "completion-menu": "noinherit",
        "completion-menu.completion": "noinherit",
        "completion-menu.completion.current": "noinherit reverse",
        "completion-menu.meta.completion": "noinherit ansibrightblack",
        "completion-menu.meta.completion.current": "noinherit reverse",
        "scrollbar.background": "noinherit",
        "scrollbar.button": "noinherit bg:ansibrightblack",
    }
)

_SGR = {
    "error": "31",
    "integer": "35",
    "double": "35",
    "boolean": "35",
    "string": "32",
    "nil": "90",
    "empty": "90",
    "index": "90",
}

_REST = "Tab completes   Ctrl-R searches the history   HELP command   Ctrl-D leaves"

KEYS_WAIT_S = 0.3
OUR_VERSION = (7, 2)


class Lookup:
    """What completion asks the server, on a connection of its own: the session's may be in MULTI, or blocked.

    It opens with the first question and is dropped when an answer is late; then nothing is offered.
    """

    def __init__(self, session: CliSession) -> None:
        self._session = session
        self._connection: Connection | None = None
        self._place: tuple[Any, ...] = ()
        self._names: dict[bytes, None] | None = None

    def keys(self, prefix: bytes, limit: int) -> list[bytes]:
        """Return names of keys that start with the prefix, sorted; not all, if there are many."""
        pattern = b"".join([b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in prefix]) + b"*"
        found: dict[bytes, None] = {}
        cursor = b"0"
        end = time.monotonic() + KEYS_WAIT_S
        while len(found) < limit and time.monotonic() < end:
            reply = self._ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"1000")
            if not isinstance(reply, list):
                break
            cursor = reply[0]
            found.update(dict.fromkeys(reply[1]))
            if cursor == b"0":
                break
        return sorted(found)[:limit]

    def values(self, command: CommandDoc, argument: Argument, prefix: str) -> list[str]:
        """Return the names of parameters, for CONFIG GET and CONFIG SET."""
        if command.name not in ("CONFIG GET", "CONFIG SET") or argument.name != "parameter":
            return []
        reply = self._ask(b"CONFIG", b"GET", to_bytes(prefix) + b"*")
        return sorted(to_text(name) for name in (elements(reply) or [])[::2])

    def command(self, name: bytes) -> CommandDoc | None:
        """Return what the server knows of a command that our table does not have: a module's, a newer version's.

        The server is only asked about names it has told itself: what is half typed may be no command at all.
        """
        if self._names is None:
            told = self._ask(b"COMMAND", b"LIST")
            self._names = {one.lower(): None for one in told if isinstance(one, bytes)} if told else {}
        if name.lower() not in self._names:
            return None
        try:
            table = CommandDocs.from_docs(self._ask(b"COMMAND", b"DOCS", name))
        except (ValueError, KeyError):
            return None
        return next(iter(table.top()), None)

    def version(self) -> tuple[int, ...]:
        """Return the version of Redis that the server says it is; () if it does not say."""
        reply = self._ask(b"INFO", b"server")
        found = re.search(rb"redis_version:([\d.]+)", getattr(reply, "text", reply) or b"")
        return parse_version(to_text(found[1])) if found else ()

    def _ask(self, *words: bytes) -> Any:
        state = self._session.state
        place = (state.host, state.port, state.socket, state.db)
        if not state.connected:
            return None
        try:
            if self._connection is None or self._place != place:
                self.close()
                self._connection = self._session.open(timeout=KEYS_WAIT_S)
                self._place = place
                if (credentials := self._session.credentials()) is not None:
                    self._connection.call(*credentials)
                self._connection.call("CLIENT", "SETNAME", "completion")
                if state.db:
                    self._connection.call("SELECT", state.db)
            reply = self._connection.call(*words)
        except LinkError:
            self.close()
            return None
        return None if isinstance(reply, ReplyError) else reply

    def close(self) -> None:
        """Hang up; the next question connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Completer(Completer):
    def __init__(self, context: CompletionContext, debugging: Debugging) -> None:
        self.context = context
        self.debugging = debugging

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Offer]:
        if self.debugging.active:
            text = document.text_before_cursor
            yield from (Offer(name, -len(text)) for name in DEBUGGER_COMMANDS if name.startswith(text.lower()))
            return
        for one in complete(document.text, document.cursor_position, self.context):
            yield Offer(
                one.text,
                one.start - document.cursor_position,
                display=one.display or one.text,
                display_meta=_meta(one),
            )


def _meta(one: Completion) -> str:
    return one.meta if len(one.meta) <= 60 else one.meta[:59] + "…"


class _Lexer(Lexer):
    def __init__(self, commands: CommandDocs) -> None:
        self.commands = commands

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        def line(number: int) -> StyleAndTextTuples:
            text = document.lines[number]
            return [(f"class:{style}" if style else "", part) for style, part in highlight(text, self.commands)]

        return line


class _History(ToolkitHistory):
    """prompt-toolkit's side of our history: what must not be kept is not kept in memory either."""

    def __init__(self, history: LineHistory) -> None:
        super().__init__()
        self.history = history

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self.history.lines)

    def append_string(self, string: str) -> None:
        for line in string.splitlines():
            if self.history.add(line):
                super().append_string(line)

    def store_string(self, string: str) -> None:
        pass  # `add` has done it


class _Suggest(AutoSuggest):
    """A past line that begins with what is typed; shown when there is no more syntax to hint at."""

    def __init__(self, prompt: "TerminalPrompt") -> None:
        self.prompt = prompt

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        text = document.text
        if not self.prompt.repl.hints or self.prompt.debugging or inline_hint(text, self.prompt.commands):
            return None
        line = self.prompt.history.starting_with(text)
        return None if line is None else Suggestion(line[len(text) :])


class _Hints(Processor):
    def __init__(self, prompt: "TerminalPrompt") -> None:
        self.prompt = prompt

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document = transformation_input.document
        fragments = transformation_input.fragments
        if (
            not self.prompt.repl.hints
            or self.prompt.debugging
            or get_app().is_done  # what stays on the screen is what was typed
            or not document.is_cursor_at_the_end
            or transformation_input.lineno != document.line_count - 1
        ):
            return Transformation(fragments)
        self.prompt.learn(document.text)
        text = inline_hint(document.text, self.prompt.commands)
        room = transformation_input.width - get_cwidth(self.prompt.message() + document.text) - 1
        if len(text) > room:
            text = text[: room - 1] + "…" if room > 12 else ""
        return Transformation([*fragments, ("class:hint", text)])


def _bindings() -> KeyBindings:
    bindings = KeyBindings()
    # Enter runs the line that the search found, as in a shell; the library would only leave the search.
    bindings.add("enter", filter=is_searching, eager=True)(accept_search_and_accept_input)
    return bindings


class TerminalPrompt:
    """The prompt and its parts."""

    def __init__(self, session: CliSession) -> None:
        self.session = session
        self.commands = CommandDocs(CommandDocs.load().top())
        self._asked: set[str] = set()
        self._version: tuple[int, ...] | None = None
        self.repl = Repl(session)
        self.repl.clear_screen = clear
        self.history = LineHistory(default_path())
        self.lookup = Lookup(session)
        self.colored = not os.environ.get("NO_COLOR")
        if self.colored:
            session.paint = self._paint
        context = CompletionContext(self.commands, self.lookup.keys, self.lookup.values, CLIENT_COMMANDS)
        lexer = _Lexer(self.commands)
        self.editor: PromptSession[str] = PromptSession(
            message=self.message,
            completer=_Completer(context, session.debugging),
            complete_while_typing=False,
            complete_style=CompleteStyle.COLUMN,
            lexer=DynamicLexer(lambda: None if self.debugging else lexer),
            history=_History(self.history),
            auto_suggest=_Suggest(self),
            key_bindings=_bindings(),
            input_processors=[_Hints(self)],
            bottom_toolbar=self._bottom,
            style=_STYLE,
            color_depth=None if self.colored else ColorDepth.DEPTH_1_BIT,
            search_ignore_case=True,
            enable_open_in_editor=False,
            enable_suspend=True,
            reserve_space_for_menu=5,
        )

    def learn(self, text: str) -> None:
        """Fit the table to the server: its version, once, and each unknown command, once for each name."""
        name, space, _ = text.lstrip().partition(" ")
        if space and self._version is None and self.session.state.connected:
            self._version = self.lookup.version()
            if () < self._version < OUR_VERSION:
                # in place: every part of the prompt holds this table
                self.commands.become(self.commands.for_version(self._version))
        if not space or name.lower() in self._asked or self.commands.find([name]) is not None:
            return
        self._asked.add(name.lower())
        if name.isdigit() or name.startswith(":") or name.lower() in CLIENT_WORDS:
            return
        if (command := self.lookup.command(to_bytes(name))) is not None:
            self.commands.add(command)

    @property
    def debugging(self) -> bool:
        """Whether lines go to the debugger of a script."""
        return self.session.debugging.active

    def message(self) -> str:
        """Return the prompt."""
        return self.repl.prompt()

    def run(self) -> None:
        """Read lines and run them until the user leaves. Raises Exit."""
        self.repl.load_preferences()
        state = self.session.state
        while True:
            try:
                text = self.editor.prompt()
            except KeyboardInterrupt:
                if state.subscribed:
                    self.session.connect(force=True)
                continue
            except EOFError:
                if state.subscribed and self.session.connect(force=True):
                    continue
                return
            try:
                for line in text.splitlines() or [""]:  # several, when pasted
                    self.repl.run_line(line)
            except KeyboardInterrupt:
                continue

    def _bottom(self) -> StyleAndTextTuples:
        if not self.repl.hints:
            return []
        text = get_app().current_buffer.document.text
        width = get_app().output.get_size().columns - 1
        if self.debugging:
            return [("class:syntax", _cut("   ".join(DEBUGGER_COMMANDS), width))]
        line = syntax(text, self.commands)
        if not line:
            return [("class:syntax", _cut(_REST, width))] if not text.strip() else [("", "")]
        found = self.commands.find(line.split(" ")[:2])
        name = found[0].name if found else ""
        rest = line[len(name) :]
        if found and len(line) + len(found[0].summary) + 4 <= width:
            rest += "   " + found[0].summary
        return [("class:syntax.command", _cut(name, width)), ("class:syntax", _cut(rest, width - len(name)))]

    def _paint(self, reply: Any, verbatim: bool) -> None:
        parts = []
        for style, text in reply_spans(reply, verbatim=verbatim):
            if style in ("status", "error"):
                text = text.replace("\x1b", "␛")  # a server's text does not paint our terminal
            code = _SGR.get(style)
            end = "\n" if text.endswith("\n") else ""
            body = text.removesuffix("\n")
            parts.append(f"\x1b[{code}m{body}\x1b[0m{end}" if code and body else text)
        self.session.write(to_bytes("".join(parts)))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def run_terminal(session: CliSession) -> None:
    """Run the prompt until the user leaves. Raises Exit."""
    terminal = TerminalPrompt(session)
    with by_signal():
        try:
            terminal.run()
        finally:
            terminal.lookup.close()
