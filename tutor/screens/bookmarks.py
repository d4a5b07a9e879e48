"""The learner's bookmarks: go to one, or remove it."""

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tutor.lesson.view import BookmarkEntry
from tutor.screens.base import TutorScreen
from tutor.screens.dialogs import ChoiceDialog
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

HELP = """\
The steps that you bookmarked with `:bookmark` (or *Bookmark* among all commands, `Ctrl+P`). **Enter** opens the
lesson at the step, **Del** removes the bookmark. `/` on the map finds bookmarks by their notes, too.
"""
EMPTY = "You have no bookmarks. In a lesson, :bookmark sets one at the step where you are."


class BookmarksScreen(TutorScreen[BookmarkEntry | None]):
    """Dismissed with the bookmark to go to."""

    HELP = HELP
    HELP_TITLE = "Bookmarks"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1 ?"),
        Binding("enter", "choose", "go there", priority=True),
        Binding("delete,d", "remove", "remove", key_display="Del d"),
        Binding("escape", "dismiss(None)", "back"),
    ]
    CSS = """
    BookmarksScreen { background: $background; }
    BookmarksScreen OptionList { border: none; height: 1fr; background: $background; padding: 1 2 0 2;
        text-wrap: nowrap; scrollbar-size-vertical: 1; }
    BookmarksScreen OptionList > .option-list--option-highlighted { background: $primary; color: $background; }
    BookmarksScreen #told { height: auto; max-height: 6; padding: 0 2 1 2; color: $muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[BookmarkEntry] = []

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        yield HeaderBar()
        yield OptionList(id="bookmarks", markup=False)
        yield Static("", id="told", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Read the bookmarks."""
        self.query_one(HeaderBar).show("Bookmarks")
        self.query_one(OptionList).focus()
        self.load()

    def on_resize(self) -> None:
        """Fit the lines."""
        self.call_after_refresh(self._fill)

    @work(exclusive=True, group="act")
    async def load(self, remove: str = "") -> None:
        """Read the bookmarks, after one is removed."""
        if remove:
            await asyncio.to_thread(self.app.course.remove_bookmark, remove)
        self._entries = list(await asyncio.to_thread(self.app.course.bookmarks))
        count = len(self._entries)
        self.query_one(HeaderBar).show("Bookmarks", f"{count} bookmark{'s' if count != 1 else ''}" if count else "")
        self._fill()

    def _fill(self) -> None:
        options = self.query_one(OptionList)
        at, width = options.highlighted or 0, max(20, self.size.width - 6)
        options.clear_options()
        options.add_options([Option(self._line(each, width)) for each in self._entries])
        if self._entries:
            options.highlighted = min(at, len(self._entries) - 1)
        else:
            self.query_one("#told", Static).update(EMPTY)

    @staticmethod
    def _line(entry: BookmarkEntry, width: int) -> Content:
        parts: list[str | tuple[str, str]] = [(entry.lesson, "bold"), f" › {entry.step + 1} {entry.title}"]
        if entry.note:
            parts.append((f"  {entry.note}", "$text-accent"))
        return Content.assemble(*parts).truncate(width, ellipsis=True)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the whole of what is under the bar."""
        if event.option_index >= len(self._entries):
            return
        entry = self._entries[event.option_index]
        rows = [f"{entry.lesson}, step {entry.step + 1}: {entry.title}"]
        rows += [entry.note] if entry.note else []
        rows += ["This lesson no longer exists."] if entry.is_gone else []
        rows += [f"You are at step {entry.at + 1} of this lesson."] if entry.at else []
        self.query_one("#told", Static).update("\n".join(rows))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to what was clicked."""
        self._go_to(event.option_index)

    def action_choose(self) -> None:
        """Go to what is under the bar."""
        if (at := self.query_one(OptionList).highlighted) is not None:
            self._go_to(at)

    def _go_to(self, at: int) -> None:
        if self._entries[at].is_gone:
            self.app.bell()
        else:
            self.dismiss(self._entries[at])

    def action_remove(self) -> None:
        """Remove what is under the bar."""
        at = self.query_one(OptionList).highlighted
        if self._entries and at is not None:
            self.load(self._entries[at].key)


class GoBack(ChoiceDialog):
    """Go back to an earlier step of the lesson? "back", or "stay" where the learner is in it."""

    def __init__(self, entry: BookmarkEntry, now: int) -> None:
        text = (
            f"You are at step {now + 1} of “{entry.lesson}”. Going back takes the server to the end of step "
            f"{entry.step + 1}; the later steps are open again."
        )
        choices = [("stay", f"Stay at step {now + 1}"), ("back", f"Go back to step {entry.step + 1}")]
        super().__init__(f"Go back to step {entry.step + 1}?", text, choices)
