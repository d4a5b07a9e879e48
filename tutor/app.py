"""The full-screen program.

It starts with the map of the course and imports the rest (Markdown, the engine's client side, the reference) when it
is first needed, so that the first frame comes about as soon as that of an empty Textual program.
"""

import asyncio
import gc
import shlex
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, work
from textual.app import SystemCommand
from textual.binding import Binding
from textual.filter import LineFilter
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from tutor.ending import Ended, by_signal
from tutor.lesson.front_end import Course
from tutor.lesson.installed import InstalledCourse
from tutor.lesson.view import BookmarkEntry, LessonPlace
from tutor.screens.base import Program
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.symbols import ascii_only, shows_unicode
from tutor.theme import DEFAULT, THEMES, shades

if TYPE_CHECKING:
    from engine.simulation.history import History
    from tutor.lab.model import ScenarioSpec


class TutorApp(Program):
    """The program. `course` is where lessons come from; None is the one that is installed."""

    TITLE = "redis-tutor"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="quit"),
        Binding("f10", "settings", "settings", show=False, id="settings"),
        Binding("f11", "reference", "reference", show=False, id="reference"),
    ]
    CSS = """
    * {
        scrollbar-color: $rule; scrollbar-color-hover: $faint; scrollbar-color-active: $faint;
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-background-active: $background; scrollbar-corner-color: $background;
    }
    Toast { background: $panel; }
    ToastRack { align: right bottom; }
    """

    def __init__(
        self,
        lesson: str | None = None,
        course: Course | None = None,
        preferences: Preferences | None = None,
        scenario: str | None = None,
        kept: "tuple[ScenarioSpec, History] | None" = None,
        sandbox: Sequence[str] | None = None,
        server: str = "",
        connect: str = "",
        bookmark: str = "",
        port: int | None = None,
    ) -> None:
        self._bookmark = bookmark
        self._port = port
        self.ends_with_laboratory = False
        self._connect_to = connect
        self._server = server  # a real one, for lessons
        self.preferences = preferences or Preferences.load()
        super().__init__()
        self._running_loop: asyncio.AbstractEventLoop | None = None
        self._first = lesson
        self._scenario = scenario
        self._kept = kept
        self._sandbox = sandbox
        self._ascii: LineFilter | None = None
        self.choose_symbols()
        self.course: Course = course or InstalledCourse()  # its files are read when a thread first needs them
        # Keys that were pressed before the prompt they are meant for is there; None: there is no such prompt.
        opens = bool(lesson or connect) or sandbox is not None
        self._early: list[events.Event] | None = [] if opens else None

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's variables and the shades made of them."""
        variables = super().get_css_variables()
        return {**variables, **shades(variables)}

    def choose_symbols(self) -> None:
        """Draw with ASCII only, or with all symbols, as the settings and the terminal have it."""
        if not ascii_only(self.preferences.symbols):
            self._ascii, ScrollBar.renderer = None, ScrollBarRender
            return
        from tutor.widgets.ascii import AsciiBars, AsciiFilter

        self._ascii = AsciiFilter(strict=not shows_unicode())
        ScrollBar.renderer = AsciiBars

    @property
    def in_ascii(self) -> bool:
        """Whether the screens are drawn in ASCII."""
        return self._ascii is not None

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what changes the lines that are drawn; see `App`."""
        filters = super().get_line_filters()
        return filters if self._ascii is None else [*filters, self._ascii]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return what the stylesheets need before a theme is there."""
        return {"muted": "#999999", "faint": "#666666", "rule": "#444444"}

    def on_mount(self) -> None:
        """Show the map."""
        for theme in THEMES:
            self.register_theme(theme)
        chosen = self.preferences.theme
        self.theme = chosen if chosen in self.available_themes else DEFAULT
        self.set_keymap(self.preferences.keys)
        self.push_screen(MapScreen())
        if self._first is not None:
            self.open_lesson(self._first)
        if self._bookmark:
            self.open_bookmark(self._bookmark)
        if self._scenario is not None:
            self.action_laboratory(self._scenario)
        if self._connect_to:
            self.action_connect(self._connect_to)
        if self._sandbox is not None:
            self.action_sandbox(*self._sandbox)
        if self._kept is not None:
            from tutor.screens.laboratory import LaboratoryScreen
            from tutor.screens.laboratory.keeper import offer_to_restore

            screen = LaboratoryScreen(*self._kept, port=self._port)
            offer_to_restore(self, lambda: self.push_screen(screen))

    async def run_async(self, **options: Any) -> None:
        """Run the program; see `App`."""
        self._running_loop = asyncio.get_running_loop()
        return await super().run_async(**options)

    def end_soon(self) -> None:
        """End the program, from a signal handler: restore the terminal and stop the servers of lessons."""
        if self._running_loop is None:
            raise Ended
        self._running_loop.call_soon_threadsafe(self.exit)

    async def on_event(self, event: events.Event) -> None:
        """Keep what is typed while a lesson opens; see `App`."""
        key = event.key if isinstance(event, events.Key) else ""
        typed = isinstance(event, events.Key | events.Paste) and not event.is_forwarded
        if self._early is not None and typed and key not in ("ctrl+q", "ctrl+c", "escape"):
            self._early.append(event)
        else:
            await super().on_event(event)

    def release_keys(self, drop: bool = False) -> None:
        """Pass on what was typed while a lesson opened, or drop it: there is no lesson."""

        async def release() -> None:
            while self._early:
                event = self._early.pop(0)
                if isinstance(event, events.Key) and event.key == "ctrl+j":  # Enter, to a terminal in its usual mode
                    event = events.Key("enter", "\r")
                await super(TutorApp, self).on_event(event)
            self._early = None

        if drop:
            self._early = None
        elif self._early is not None:
            self.call_later(release)

    def on_resize(self) -> None:
        """Ask for a larger window if this one is too small to work in."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        from tutor.screens.dialogs import TooSmall

        small = self.size.width < TooSmall.COLUMNS or self.size.height < TooSmall.ROWS
        shown = isinstance(self.screen, TooSmall)
        if small and not shown:
            self.push_screen(TooSmall())
        elif shown and not small:
            self.pop_screen()

    # -- going places

    @work
    async def open_lesson(self, lesson: str | LessonPlace | None) -> None:
        """Open a lesson, at a step if one is given, and after it the one that was chosen at its end."""
        from tutor.lesson.reading import Problems
        from tutor.screens.lesson import LessonScreen

        place = LessonPlace(lesson) if isinstance(lesson, str) else lesson
        while place is not None:
            self._early = self._early or []
            try:
                on = [self._server] if self._server else []
                controller = await asyncio.to_thread(self.course.controller, place.lesson, *on)
            except (LookupError, OSError, ValueError, Problems) as error:
                text = str(error.args[0] if error.args else error)
                self.notify(text, title="The lesson cannot be opened", severity="error", timeout=10, markup=False)
                self.release_keys(drop=True)
                self.note_lesson("")
                return
            self.note_lesson(place.lesson)
            then = [f"visit {place.step}"] if place.step is not None else []
            place = await self.push_screen_wait(LessonScreen(controller, then))
        self.note_lesson("")

    def note_lesson(self, lesson: str) -> None:
        """Take note of the lesson that is opened now; empty: the learner has left it."""

    @work
    async def action_sandbox(self, *then: str) -> None:
        """Open a server without a lesson, and have it do something (see `Controller.act`)."""
        from tutor.screens.lesson import LessonScreen

        screen = next(
            (each for each in self.screen_stack if isinstance(each, LessonScreen) and each.place == "sandbox"), None
        )
        if screen is not None:  # it is open below
            while self.screen is not screen:
                await self.pop_screen()
            for action in then:
                screen.action_act(action)
            return
        controller = await asyncio.to_thread(self.course.sandbox)
        place = await self.push_screen_wait(LessonScreen(controller, then))
        if place is not None and isinstance(self.screen, LessonScreen):  # the lesson that it was opened from
            self.screen.leave_for(place)
        elif place is not None:
            self.open_lesson(place)

    @work
    async def action_connect(self, where: str) -> None:
        """Open a real server, over what is open now."""
        from tutor.screens.lesson import LessonScreen

        try:
            controller = await asyncio.to_thread(self.course.connected, where)
        except ValueError as error:
            self.notify(str(error), title="Unknown server", severity="error", timeout=10, markup=False)
            self.release_keys(drop=True)
            return
        await self.push_screen_wait(LessonScreen(controller))

    def action_laboratory(self, scenario: str = "") -> None:
        """Open the laboratory, on a scenario or on the list of them."""
        from tutor.lab.loader import find, read_scenario
        from tutor.lesson.model import Problem
        from tutor.screens.laboratory import LaboratoryScreen
        from tutor.screens.laboratory.keeper import offer_to_restore
        from tutor.screens.scenarios import ScenariosScreen

        if not scenario:
            offer_to_restore(self, lambda: self.push_screen(ScenariosScreen()))
            return
        try:
            spec = read_scenario(find(scenario))
        except (LookupError, Problem) as problem:
            self.notify(str(problem.args[0]), severity="error", timeout=10, markup=False)
            return
        if isinstance(self.screen, ScenariosScreen):
            self.push_screen(LaboratoryScreen(spec))
        else:
            offer_to_restore(self, lambda: self.push_screen(LaboratoryScreen(spec)))

    async def action_quit(self) -> None:
        """Leave the program; what was done in the laboratory and not saved is asked about first."""
        from tutor.screens.dialogs import ChoiceDialog
        from tutor.screens.laboratory import LaboratoryScreen

        screen = next((each for each in reversed(self.screen_stack) if isinstance(each, LaboratoryScreen)), None)
        if screen is None:
            self.exit()
        elif isinstance(self.screen, ChoiceDialog):  # asked a second time
            screen.session.worked = True
            self.exit()
        else:
            screen.keeper.ask(self.exit)

    def action_reference(self, command: str = "") -> None:
        """Open the reference."""
        from tutor.screens.reference import ReferenceScreen

        if not isinstance(self.screen, ReferenceScreen):
            self.push_screen(ReferenceScreen(command))

    def action_find(self) -> None:
        """Find a lesson, a command, a term, a bookmark, or a line typed before."""
        from tutor.lesson.view import FoundEntry
        from tutor.screens.find import FindScreen
        from tutor.screens.lesson import LessonScreen

        below = self.screen

        def chosen(found: FoundEntry | None) -> None:
            if found is None:
                return
            in_lesson = below if isinstance(below, LessonScreen) else None
            if found.kind == "bookmark":
                self.open_bookmark(found.target)
            elif found.kind == "lesson" and in_lesson is not None:
                in_lesson.leave_for(LessonPlace(found.target))
            elif found.kind == "lesson":
                self.open_lesson(found.target)
            elif found.kind == "history" and in_lesson is not None and (terminal := in_lesson.terminals.now):
                terminal.suggest(found.target)
            else:
                self.action_reference(found.target.split()[0] if found.kind == "history" else found.target)

        if not isinstance(self.screen, FindScreen):
            self.push_screen(FindScreen(), chosen)

    def action_bookmarks(self) -> None:
        """Choose a bookmark and go there."""
        from tutor.screens.bookmarks import BookmarksScreen

        def chosen(entry: BookmarkEntry | None) -> None:
            if entry is not None:
                self._go_to(entry)

        if not isinstance(self.screen, BookmarksScreen):
            self.push_screen(BookmarksScreen(), chosen)

    @work
    async def open_bookmark(self, key: str) -> None:
        """Go to the bookmark with this key."""
        entries = await asyncio.to_thread(self.course.bookmarks)
        if (entry := next((each for each in entries if each.key == key), None)) is not None:
            self._go_to(entry)

    def _go_to(self, entry: BookmarkEntry) -> None:
        """Go to a bookmark, after a question if the learner is further on in its lesson."""
        from tutor.screens.bookmarks import GoBack
        from tutor.screens.lesson import LessonScreen

        below = self.screen if isinstance(self.screen, LessonScreen) else None
        step = below.step if below is not None and below.setup and below.setup.key == entry.lesson_key else None
        now = step.number - 1 if step is not None else entry.at

        def go(back: bool) -> None:
            place = LessonPlace(entry.target, entry.step if back or now <= entry.step else None)
            if below is None:
                self.open_lesson(place)
            elif step is None:
                below.leave_for(place)
            elif place.step is not None:
                below.action_act(f"visit {place.step}")

        def answered(choice: str | bool | None) -> None:
            if choice is not None:
                go(choice == "back")

        if now > entry.step:
            self.push_screen(GoBack(entry, now), answered)
        else:
            go(False)

    def action_settings(self) -> None:
        """Open the settings."""
        from tutor.screens.settings import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    def action_help(self) -> None:
        """Tell about this screen and its keys."""
        from tutor.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_reset_everything(self) -> None:
        """Forget all progress, after asking."""
        from tutor.screens.dialogs import Confirm

        async def reset() -> None:
            await asyncio.to_thread(self.course.reset_everything)
            self.notify("The course starts again.")
            for screen in self.screen_stack:
                if isinstance(screen, MapScreen):
                    screen.load()

        def confirmed(yes: str | bool | None) -> None:
            if yes:
                self.run_worker(reset())

        text = "All progress in all lessons is forgotten. This cannot be taken back."
        self.push_screen(Confirm("Forget everything?", text, "Yes, forget all progress"), confirmed)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return what the command palette offers."""
        from tutor.screens.laboratory import LaboratoryScreen
        from tutor.screens.lesson import LessonScreen
        from tutor.screens.lesson.editor import EditorScreen

        if isinstance(screen, EditorScreen):  # it is over a lesson, which must not be opened a second time
            yield from screen.commands()
        elif isinstance(screen, LessonScreen | LaboratoryScreen):
            yield from screen.commands()
            if isinstance(screen, LessonScreen) and screen.place == "lesson":
                yield SystemCommand("Sandbox", "A server to try things on; Esc returns here", self.action_sandbox)
        else:
            if isinstance(screen, MapScreen):
                yield SystemCommand("I know this", "Show that you know the chapter", screen.action_place)
            yield SystemCommand("Sandbox", "A server without a lesson", self.action_sandbox)
            yield SystemCommand("Laboratory", "Clusters, step by step", self.action_laboratory)
            yield SystemCommand("Forget everything", "Start the whole course again", self.action_reset_everything)
        if not isinstance(screen, EditorScreen):
            yield SystemCommand("Find", "Lessons, commands, terms, bookmarks, your own lines", self.action_find)
            yield SystemCommand("Bookmarks", "Go to a bookmark, or remove one", self.action_bookmarks)
        yield SystemCommand("Reference", "Every command, and the glossary", self.action_reference)
        yield SystemCommand("Settings", "Theme, symbols and keys", self.action_settings)
        yield SystemCommand("Theme", "Choose other colors", self.action_change_theme)
        for theme in THEMES:
            name, on = ("Dark", "dark") if theme.dark else ("Light", "light")
            use = partial(setattr, self, "theme", theme.name)
            yield SystemCommand(f"{name} theme", f"Colors on a {on} background", use)
        yield SystemCommand("Symbols and keys", "Draw with ASCII only; change keys", self.action_settings)
        yield SystemCommand("Help", "About this screen and its keys", self.action_help)
        yield SystemCommand("Screenshot", "Save an SVG picture of the screen", lambda: self.deliver_screenshot())
        yield SystemCommand("Quit", "Leave the program", self.action_quit)

    def watch_theme(self, theme: str) -> None:
        """Remember the theme."""
        if self.is_running and theme != (self.preferences.theme or DEFAULT):
            self.preferences.theme = theme
            self.preferences.save()


def _plain_command(
    lesson: str | None, sandbox: Sequence[str] | None, server: str, connect: str, bookmark: str,
    scenario: str | None, has_history: bool,
) -> str:  # fmt: skip
    """Return the command that does without the full screen what was asked for."""
    options = []
    match lesson:
        case str():
            words = ["learn", lesson, "--plain"]
            options = ["--server", server] * bool(server)
        case None if connect:
            words, options = ["sandbox", "--plain"], ["--connect", connect]
        case None if sandbox is not None:
            words = ["sandbox", "--plain"]
            options = [word for each in sandbox for word in (f"--{each.split()[0]}", each.partition(" ")[2])]
        case None if bookmark:
            words = ["bookmarks", "NUMBER", "--plain"]
        case None if scenario is not None:
            words = ["lab", scenario, "--play"]
        case _ if has_history:
            words = ["lab", "--open", "FILE", "--play"]
        case _:
            words = ["list"]
    return shlex.join(["redis-tutor", *words, *options])


def run(
    lesson: str | None = None,
    scenario: str | None = None,
    kept: "tuple[ScenarioSpec, History] | None" = None,
    sandbox: Sequence[str] | None = None,
    server: str = "",
    connect: str = "",
    bookmark: str = "",
    port: int | None = None,
) -> int:
    """Run the program: on the map, a lesson, a bookmark (its key), the sandbox, or in the laboratory on a scenario or
    a kept history, whose nodes are on real ports from `port` on.

    Returns the exit status.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        plain = _plain_command(lesson, sandbox, server, connect, bookmark, scenario, kept is not None)
        print(f"redis-tutor: the full screen needs a terminal; try `{plain}`", file=sys.stderr)
        return 1
    # A terminal's thread that reads a long reply hands over more often: the screen comes first.
    sys.setswitchinterval(0.001)
    gc.set_threshold(20_000, 20, 50)
    app = TutorApp(lesson, None, None, scenario, kept, sandbox, server, connect, bookmark, port)
    app.ends_with_laboratory = scenario is not None or kept is not None
    with by_signal(app.end_soon):
        app.run()
    return app.return_code or 0
