"""What is in sight of a lesson: text, terminals and inspector.

Wide windows show all of them. A narrow one shows the text or a tab of the inspector under a line of tabs, below that
the task on a line, and below that the terminal, always.
"""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.reactive import var
from textual.widget import Widget

from tutor.lesson import messages as m
from tutor.lesson.front_end import Controller
from tutor.screens.lesson.terminals import LessonTerminals
from tutor.screens.lesson.text import LessonText
from tutor.widgets.focus import focus_soon
from tutor.widgets.inspector import Inspector
from tutor.widgets.news import shows
from tutor.widgets.terminal import Terminal
from tutor.widgets.terminals import PaneBar, TaskLine


class LessonPanes(Vertical):
    """The panes of a lesson, and which of them is in sight."""

    PANES: ClassVar = [("text", "Text"), *((name, name.title()) for name in Inspector.TABS)]

    pane: var[str] = var("text")

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.unseen_picture = False  # something was drawn that is not in sight

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield PaneBar()
        with Horizontal(id="body"):
            with Container(id="text-box") as box:
                box.border_title = "Text"
                yield LessonText(self._controller)
            with Vertical(id="right"):
                with Vertical(id="typing"):
                    yield TaskLine(id="task-line")
                    yield LessonTerminals(self._controller)
                yield Inspector(id="inspector")

    def on_mount(self) -> None:
        """Follow what the tabs show of the text and the inspector."""
        self.watch(self.text, "scroll_y", self.show_tabs, init=False)
        self.watch(self.text, "virtual_size", self.show_tabs, init=False)
        self.watch(self.inspector, "tab", self._tab_changed, init=False)
        self.watch_pane()

    @property
    def text(self) -> LessonText:
        """The lesson's text."""
        return self.query_one(LessonText)

    @property
    def terminals(self) -> LessonTerminals:
        """The terminals."""
        return self.query_one(LessonTerminals)

    @property
    def inspector(self) -> Inspector:
        """The inspector."""
        return self.query_one(Inspector)

    @property
    def tabbed(self) -> bool:
        """Whether text and inspector share the space, one at a time."""
        return self.screen.has_class("-narrow") and self.screen.has_class("-short")

    # -- which pane

    def watch_pane(self) -> None:
        """Show the text or a tab of the inspector if there is no room for both."""
        if not self.children:
            return
        self.set_class(self.pane in Inspector.TABS, "-pane-inspector")
        if self.pane in Inspector.TABS:
            self.inspector.tab = self.pane
        self.show_tabs()

    def _tab_changed(self, tab: str) -> None:
        if self.tabbed and self.pane in Inspector.TABS:
            self.pane = tab

    def show_tabs(self) -> None:
        """Show the line of tabs, and whether there is more of the text."""
        text = self.text
        more = ""
        if self.pane == "text" and text.max_scroll_y:
            more = "PgDn more" if text.scroll_y < text.max_scroll_y else "PgUp"
        self.unseen_picture &= self.pane != "picture"
        panes = [(name, title + " •" * (name == "picture" and self.unseen_picture)) for name, title in self.PANES]
        self.query_one(PaneBar).show(panes, self.pane, more)

    @on(PaneBar.Chosen)
    def _tab_clicked(self, message: PaneBar.Chosen) -> None:
        message.stop()
        self.choose(message.pane)

    def choose(self, pane: str) -> None:
        """Show the text or a tab of the inspector; the terminal keeps receiving what is typed."""
        self.pane = pane
        self.focus_terminal()

    def choose_next(self) -> None:
        """Show the next tab of a small window; in a large one focus the next pane."""
        if self.tabbed:
            names = [name for name, _ in self.PANES]
            self.choose(names[(names.index(self.pane) + 1) % len(names)])
            return
        order: list[Widget] = [self.text, *(each for each in self.terminals.query(Terminal) if each.display)]
        order.append(self.inspector.query_one(f"#{self.inspector.tab}"))
        focused = self.screen.focused
        at = next((i for i, w in enumerate(order) if focused is not None and w in focused.ancestors_with_self), -1)
        self.screen.set_focus(order[(at + 1) % len(order)], scroll_visible=False)

    def turn_inspector(self) -> None:
        """Show the inspector's next tab, or in a small window the next of all tabs."""
        if self.tabbed:
            self.choose_next()
        else:
            self.inspector.action_turn(1)

    def next_terminal(self) -> None:
        """Show the next terminal, and focus it."""
        self.terminals.choose_next()

    def focus_terminal(self) -> None:
        """Focus the current terminal."""
        if terminal := self.terminals.now:
            focus_soon(terminal)

    def step_back(self) -> bool:
        """Go back to the prompt, and then to the text; returns whether there was anything to go back from."""
        if not isinstance(self.screen.focused, Terminal):
            self.focus_terminal()
        elif self.tabbed and self.pane != "text":
            self.pane = "text"
        else:
            return False
        return True

    # -- scrolling and room

    def scroll_text(self, by: int) -> None:
        """Scroll the text by pages, or in a small window the visible tab."""
        if self.tabbed and self.pane in Inspector.TABS:
            pane: Widget = self.inspector.query_one(f"#{self.pane}")
        else:
            pane = self.text
        (pane.scroll_page_up if by < 0 else pane.scroll_page_down)(animate=False)

    def scroll_terminal(self, by: int) -> None:
        """Scroll the terminal by pages."""
        if terminal := self.terminals.now:
            (terminal.scroll_page_up if by < 0 else terminal.scroll_page_down)(animate=False)

    def on_resize(self) -> None:
        """Keep the focus on something that is in sight."""
        self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        self.show_tabs()
        focused = self.screen.focused
        if focused is None or not focused.region.area:
            self.focus_terminal()

    # -- news from the controller

    @shows(m.StepShown)
    def show_text(self, news: m.StepShown) -> None:
        """Show the text of another step."""
        if news.fresh and self.tabbed:
            self.pane = "text"

    @shows(m.HintShown)
    def show_hint(self, news: m.HintShown) -> None:
        """Show a hint in the terminal as well where the text may not be in sight."""
        hint = news.hint
        if hint is not None and self.tabbed and (terminal := self.terminals.now):
            terminal.write_line(f"{hint.heading}: {hint.text.replace('`', '')}", "note")
            if hint.command:
                one = "\n" not in hint.command
                told = "    (F3 types it for you)" if one else "\n  (F3 types them for you)"
                terminal.write_line(f"  {hint.command}{told}", "note")

    @shows(m.PictureShown)
    def mark_picture(self, news: m.PictureShown) -> None:
        """Mark the picture's tab if something was drawn that is not in sight."""
        if self.tabbed and news.view.fresh and self.pane != "picture":
            self.unseen_picture = True
            self.show_tabs()
