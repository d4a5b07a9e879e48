"""Find anything: lessons, commands, terms, bookmarks, and what was typed before."""

import asyncio
import contextlib
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerError

from tutor.lesson.view import FoundEntry
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

HELP = """\
Type what you look for: a command, a word of a lesson's text, a term, or what you would call it (“leaderboard”,
“queue”, “expire”). All words must match. **Enter** opens the lesson, the page of the command or term, or the
bookmarked step; a line that you typed before goes to the prompt. `bookmark` finds all your bookmarks.
"""
EMPTY = "Type a word: leaderboard, queue, expire, ZADD, failover …"


class FindScreen(TutorScreen[FoundEntry | None]):
    """Dismissed with what was chosen."""

    HELP = HELP
    HELP_TITLE = "Find"
    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help", id="help"),
        Binding("enter", "choose", "open", priority=True),
        Binding("up", "move(-1)", "choose", key_display="↑↓", priority=True),
        Binding("down", "move(1)", "choose", show=False, priority=True),
        Binding("pageup", "move(-8)", "up", show=False, priority=True),
        Binding("pagedown", "move(8)", "down", show=False, priority=True),
        Binding("escape", "dismiss(None)", "back"),
    ]
    CSS = """
    FindScreen { background: $background; }
    FindScreen Input { border: round $primary; height: 3; margin: 0 1; background: $background; }
    FindScreen OptionList { border: none; height: 1fr; background: $background; padding: 0 2; text-wrap: nowrap;
        text-overflow: ellipsis; scrollbar-size-vertical: 1; }
    FindScreen OptionList > .option-list--option-highlighted { background: $primary; color: $background; }
    FindScreen #told { height: 4; padding: 0 2; color: $muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: list[FoundEntry] = []
        self._search: Worker[None] | None = None  # the latest one

    def compose(self) -> ComposeResult:
        """Lay out the search."""
        yield HeaderBar()
        yield Input(placeholder=EMPTY, id="query")
        yield OptionList(id="found", markup=False)
        yield Static("", id="told", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to type."""
        self.query_one(HeaderBar).show("Find")
        self.query_one("#found").can_focus = False
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while the words are typed."""
        self._search = self.search(event.value)

    @work(exclusive=True, group="act")
    async def search(self, query: str) -> None:
        """Search in a thread, and show what was found."""
        found = list(await asyncio.to_thread(self.app.course.find, query))
        options = self.query_one("#found", OptionList)
        self._found = found
        options.clear_options()
        options.add_options(
            [
                Option(Content.assemble(f"{each.kind:<8}  ", (each.title, "bold"), f"  {each.detail}"))
                for each in found
            ]
        )  # fmt: skip
        if found:
            options.highlighted = 0
        elif query.strip():
            self.query_one("#told", Static).update("Nothing found. Try another word, or fewer.")
        count = f"{len(found)} found" if query.strip() else ""
        self.query_one(HeaderBar).show("Find", count)
        if not found and not query.strip():
            self.query_one("#told", Static).update("")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show more of what is under the bar."""
        if event.option_index < len(self._found):
            self.query_one("#told", Static).update(self._found[event.option_index].detail)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open what was clicked."""
        self.dismiss(self._found[event.option_index])

    async def _searched(self) -> None:
        """Wait until what was typed has been searched for: a key that follows quickly is meant for its results."""
        while (search := self._search) is not None and not search.is_finished:
            with contextlib.suppress(WorkerError):  # another search has taken its place
                await search.wait()

    async def action_move(self, by: int) -> None:
        """Move the bar."""
        await self._searched()
        options = self.query_one("#found", OptionList)
        if self._found:
            at = options.highlighted or 0
            options.highlighted = max(0, min(len(self._found) - 1, at + by))

    async def action_choose(self) -> None:
        """Open what is under the bar."""
        await self._searched()
        at = self.query_one("#found", OptionList).highlighted
        if self._found and at is not None:
            self.dismiss(self._found[at])
