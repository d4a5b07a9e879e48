"""The reference: a page for every command, made from the command table, and the glossary.

Nothing here is written by hand, so it cannot drift from what the server does: usage, groups, flags and categories
come from the declarations beside the handlers, summaries and argument trees from the data file beside the table.
"""

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tutor.lesson.examples import TryOut, examples
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

MOST_LESSONS = 5  # that are named below a term
_TOLD_BEFORE = "   then   "

HELP = """\
Every command that the server knows, with its syntax, what it costs, and what it may touch; below them the glossary.
Type to search, **Enter** goes to the page. All of this comes from the server's own command table.

Below a command are examples. **Enter**, or a click, tries one: it opens the sandbox with the data that the example
needs, and puts the example at the prompt. One undo (**F4**) removes the data.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the reference."""

    id: str
    title: str
    group: str
    summary: str
    body: Content
    words: str  # what the search looks at


def command_pages() -> list[Page]:
    """Make the pages of all commands."""
    import engine.node  # noqa: F401 - declares all commands
    from engine.table.declarations import FLAG_NAMES, SERVER
    from tutor.prompt import CommandDocs

    table = CommandDocs.load()
    pages = []
    for command in SERVER.values():
        for each in (command, *(command.subcommands or {}).values()):
            name = each.declared_name
            known = table.find(name.split())
            facts = known[0] if known and known[0].name == name else None
            summary = facts.summary if facts else ""
            usage = each.usage.replace("…", "...")
            rows: list[tuple[str, str]] = [("group", each.group.replace("_", " ")), ("since", each.since)]
            if each.complexity:
                rows.append(("cost", each.complexity))
            rows.append(("arity", _arity(each.arity)))
            if flags := [text.decode() for flag, text in FLAG_NAMES.items() if each.flags & flag]:
                rows.append(("flags", ", ".join(flags)))
            if each.categories:
                rows.append(("ACL", " ".join("@" + category.decode() for category in each.categories)))
            if each.subcommands:
                rows.append(("has", ", ".join(sub.declared_name for sub in each.subcommands.values())))
            parts: list[Content | str | tuple[str, str]] = [(usage, "bold"), "\n\n"]
            if summary:
                parts += [summary, "\n\n"]
            for label, text in rows:
                parts += [(label.ljust(8), "$muted"), text, "\n"]
            body = Content.assemble(*parts)
            pages.append(Page(name, name, each.group.replace("_", " "), summary, body, f"{name} {summary}".lower()))
    return sorted(pages, key=lambda page: page.title)


def _arity(arity: int) -> str:
    words = abs(arity) - 1
    text = "no arguments" if words == 0 else f"{words} argument{'s' if words > 1 else ''}"
    return text if arity > 0 else f"{text} or more" if words else "any number of arguments"


class ReferenceScreen(TutorScreen[None]):
    """Search and list left, the page right."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "The reference"
    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help"),
        Binding("escape", "leave", "back"),
        Binding("up,down", "move", "choose", key_display="↑↓"),
        Binding("enter", "move", "page / try it", key_display="Enter"),
        Binding("tab", "app.focus_next", "list / search"),
    ]
    CSS = """
    ReferenceScreen { background: $background; }
    ReferenceScreen #ref-body { height: 1fr; }
    ReferenceScreen #ref-left { width: 34; border: round $rule; }
    ReferenceScreen #ref-left:focus-within { border: round $primary; }
    ReferenceScreen Input { border: none; height: 1; padding: 0 1; background: $surface; }
    ReferenceScreen OptionList { border: none; height: 1fr; background: $background; padding: 0 1;
        scrollbar-size-vertical: 1; }
    ReferenceScreen OptionList > .option-list--option-highlighted { background: $primary; color: $background; }
    ReferenceScreen #ref-page { width: 1fr; border: round $rule; padding: 1 2;
        border-title-color: $text-primary; border-title-style: bold; scrollbar-size-vertical: 1; }
    ReferenceScreen #ref-page:focus, ReferenceScreen #ref-page:focus-within { border: round $primary; }
    ReferenceScreen #ref-page Static { height: auto; }
    ReferenceScreen #ref-head { color: $muted; margin-top: 1; }
    ReferenceScreen #ref-examples { height: auto; padding: 0; }
    ReferenceScreen #ref-examples > .option-list--option-highlighted { background: $surface; color: $foreground; }
    ReferenceScreen #ref-examples:focus > .option-list--option-highlighted {
        background: $primary; color: $background;
    }
    ReferenceScreen.-narrow #ref-left { width: 26; }
    """

    def __init__(self, command: str = "") -> None:
        super().__init__()
        self._wanted = command.upper()
        self._pages: dict[str, Page] = {}
        self._tries: tuple[TryOut, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield HeaderBar()
        with Horizontal(id="ref-body"):
            with Vertical(id="ref-left") as left:
                left.border_title = "Search"
                yield Input(placeholder="a command or a word", compact=True)
                yield OptionList(markup=False, id="ref-list")
            with VerticalScroll(id="ref-page"):
                yield Static("", id="ref-text")
                yield Static("", id="ref-head")
                yield OptionList(markup=False, id="ref-examples")
        yield KeyBar()

    def on_mount(self) -> None:
        """Read the pages in a thread."""
        self.query_one(HeaderBar).show("Reference")
        self.query_one(Input).focus()
        self._show_examples("")
        self.load()

    @work(thread=True)
    def load(self) -> None:
        """Make the pages."""
        course = self.app.course
        pages = command_pages()
        for term, meaning in course.glossary():
            body = Content.assemble((term, "bold"), "\n\n", meaning)
            pages.append(Page(f"term:{term}", term, "glossary", "", body, f"{term} {meaning}".lower()))
        self.app.call_from_thread(self.show, pages)

    def show(self, pages: list[Page]) -> None:
        """Show the list."""
        self._pages = {page.id: page for page in pages}
        count = sum(page.group != "glossary" for page in pages)
        self.query_one(HeaderBar).show("Reference", f"{count} commands, {len(pages) - count} terms")
        search = self.query_one(Input)
        search.value = search.value or self._wanted  # what was typed meanwhile counts
        self._fill(search.value)

    def _fill(self, text: str) -> None:
        options = self.query_one("#ref-list", OptionList)
        options.clear_options()
        wanted = text.strip().lower()
        found = [page for page in self._pages.values() if not wanted or wanted in page.words]
        found.sort(key=lambda page: (not page.title.lower().startswith(wanted), page.group == "glossary", page.title))
        options.add_options(Option(page.title, id=page.id) for page in found)
        if found:
            options.highlighted = 0
        else:
            self.query_one("#ref-text", Static).update(Content.styled("Nothing like that.", "$muted"))
            self._show_examples("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        if self._pages:
            self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Go to the page."""
        self._to_page()

    def _to_page(self) -> None:
        tries = self.query_one("#ref-examples", OptionList)
        (tries if tries.option_count else self.query_one("#ref-page")).focus()

    def _show_examples(self, command: str) -> None:
        """Show the examples of a command."""
        tries, head = self.query_one("#ref-examples", OptionList), self.query_one("#ref-head", Static)
        self._tries = examples().get(command, ()) if command else ()
        tries.clear_options()
        tries.add_options(Option(_TOLD_BEFORE.join(each.lines)) for each in self._tries)
        tries.display = head.display = bool(self._tries)
        if self._tries:
            needs = next((each.needs for each in self._tries if each.needs), "")
            head.update(f"Try it: Enter opens the sandbox {needs}".rstrip())
            tries.highlighted = 0

    @on(OptionList.OptionSelected, "#ref-list")
    def _page_chosen(self) -> None:
        self._to_page()

    @on(OptionList.OptionSelected, "#ref-examples")
    def _try(self, event: OptionList.OptionSelected) -> None:
        self.app.action_sandbox(self._tries[event.option_index].action)

    @on(OptionList.OptionHighlighted, "#ref-list")
    def _show_page(self, event: OptionList.OptionHighlighted) -> None:
        """Show the page under the bar."""
        page = self._pages.get(event.option_id or "")
        if page is None:
            return
        parts: list[Content | str | tuple[str, str]] = [page.body]
        course, is_term = self.app.course, page.group == "glossary"
        lessons = course.lessons_on(page.title) if is_term else course.lessons_with(page.title)
        if lessons:
            parts.append(("\n\nlessons " if is_term else "lessons ", "$muted"))
            shown = lessons[:MOST_LESSONS] if is_term else lessons
            parts.append(", ".join(title for _, title in shown))
        self.query_one("#ref-text", Static).update(Content.assemble(*parts))
        self.query_one("#ref-page").border_title = page.title
        self._show_examples(page.title if page.group != "glossary" else "")

    def on_key(self, event: events.Key) -> None:
        """Move the bar while the search is typed; from the page, Enter goes to its examples."""
        if event.key == "enter" and self.focused is self.query_one("#ref-page"):
            self._to_page()
        if event.key in ("up", "down", "pageup", "pagedown") and isinstance(self.focused, Input):
            options = self.query_one("#ref-list", OptionList)
            if event.key == "up":
                options.action_cursor_up()
            elif event.key == "down":
                options.action_cursor_down()
            elif event.key == "pageup":
                options.action_page_up()  # type: ignore[no-untyped-call]
            else:
                options.action_page_down()  # type: ignore[no-untyped-call]
            event.stop()

    def action_move(self) -> None:
        """Only for the footer: the keys are taken in on_key and by the list."""

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)
