"""The map of the course: what there is, what is done, what comes next. Nothing is locked."""

import asyncio
import gc
from collections.abc import Callable
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tutor.lesson.view import CourseView, LessonEntry
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

BURST_SECONDS = 0.03  # keys that follow each other faster were pasted, not typed
NOT_SAVED = "Your progress is not saved."
HELP = """\
The course, chapter by chapter. **Enter** opens the lesson under the bar; the program starts on the one you were in,
or on the next one. Nothing is locked: take whatever you like, in any order, as often as you like.

`✓` done · `»` finished, with tasks skipped · `◆` placed · `◐` begun · `▸` next. A question that you answered wrongly
comes back a day later: then its lesson has `↻` in place of these, and **v** asks the question again.

**k**, “I know this”: answer six questions about the chapter, or solve its challenge, and its lessons count as placed.

**s** opens the sandbox, a server of your own without a lesson. **l** opens the laboratory: clusters, step by step.
**r** opens the reference: every command, and the glossary. **/** finds lessons, commands, terms and bookmarks by any
word. **b** lists your bookmarks; `⚑` marks their lessons.
"""


def mark(lesson: LessonEntry, is_next: bool) -> tuple[str, str]:
    """Return a lesson's mark and its style."""
    if lesson.review:
        return "↻", "$text-warning"
    if lesson.done and lesson.skipped:
        return "»", "$text-warning"
    if lesson.done:
        return "✓", "$text-success"
    if is_next:
        return "▸", "bold"
    if lesson.placed:
        return "◆", "$text-secondary"
    if lesson.started:
        return "◐", "$text-accent"
    return "○", "$faint"


def state(lesson: LessonEntry, is_next: bool) -> str:
    """Return a lesson's state in words."""
    if lesson.review:
        return f"{lesson.missed} to review"
    if lesson.done:
        return f"{lesson.skipped} skipped" if lesson.skipped else "done"
    if lesson.placed:
        return "placed"
    if lesson.started:
        return f"step {min(lesson.step + 1, lesson.steps)} of {lesson.steps}" if lesson.steps else "begun"
    if is_next:
        return "next"
    return f"{lesson.minutes} min" if lesson.minutes else ""


class MapScreen(TutorScreen[None]):
    """The first screen."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "The map of the course"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1 ?"),
        Binding("enter", "open", "open", id="map.open", priority=True),
        Binding("s", "app.sandbox", "sandbox", id="map.sandbox"),
        Binding("l", "app.laboratory", "laboratory", id="map.laboratory"),
        Binding("slash", "app.find", "find", key_display="/", id="map.find"),
        Binding("v", "review", "review", id="map.review"),
        Binding("k", "place", "I know this", id="map.place"),
        Binding("b", "bookmarks", "bookmarks", id="map.bookmarks"),
        Binding("r", "app.reference", "reference", id="map.reference"),
        Binding("comma", "app.settings", "settings", key_display=",", id="map.settings"),
        Binding("q", "ask_to_quit", "quit", id="map.quit"),
        Binding("escape", "ask_to_quit", "quit", show=False),
    ]
    CSS = """
    MapScreen { background: $background; }
    MapScreen #map-body { height: 1fr; }
    MapScreen #lessons { width: 1fr; height: 1fr; border: round $rule; background: $background;
        border-title-color: $muted; padding: 0 1; scrollbar-size-vertical: 1;
        scrollbar-gutter: stable; text-wrap: nowrap; }
    MapScreen #lessons:focus { border: round $primary; border-title-color: $foreground; }
    MapScreen #lessons > .option-list--option-highlighted { background: $primary; color: $background;
        text-style: bold; }
    MapScreen #lessons > .option-list--option-disabled { color: $foreground; text-style: bold; }
    MapScreen #about-box { width: 40%; max-width: 60; border: round $rule; padding: 0 2; }
    MapScreen #about { height: auto; margin: 1 0; }
    MapScreen.-narrow #map-body { layout: vertical; }
    MapScreen.-narrow #about-box { width: 100%; max-width: 100%; height: 4; border: none; padding: 0 2; }
    MapScreen.-narrow #about { margin: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.view = CourseView()
        self._notice = ""  # the last that was shown
        self._key_timer: Timer | None = None  # runs from a key that opens something to the opening
        self._burst = False
        self._released: events.Key | None = None  # the key that is on its way again
        self._lessons: dict[str, LessonEntry] = {}

    def compose(self) -> ComposeResult:
        """Lay out the map."""
        yield HeaderBar()
        with Horizontal(id="map-body"):
            yield OptionList(id="lessons", markup=False)
            with VerticalScroll(id="about-box", can_focus=False):
                yield Static("", id="about")
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the frame, then read the course."""
        self.lessons.border_title = "Course"
        self.query_one(HeaderBar).show("the course")
        self.lessons.focus()

    def on_screen_resume(self) -> None:
        """Read the course again: something may have been learned."""
        self.load()

    @property
    def lessons(self) -> OptionList:
        """The list."""
        return self.query_one("#lessons", OptionList)

    @work(thread=True, exclusive=True, group="course")
    def load(self) -> None:
        """Read the course in a thread."""
        view = self.app.course.view()
        self.app.call_from_thread(self.show, view)
        # What the first lesson needs is read while the learner looks at the map.
        import tutor.lesson.controller
        import tutor.screens.lesson  # noqa: F401

        gc.freeze()  # all of that stays: collecting garbage need not go through it again, while a frame waits

    def show(self, view: CourseView) -> None:
        """Show the course, the bar on what comes next or where it was."""
        chosen = self._chosen_id() or None
        fresh = not self._lessons
        self.view = view
        self._lessons = {lesson.id: lesson for chapter in view.chapters for lesson in chapter.lessons}
        self._fill()
        target = view.next_lesson if fresh or chosen is None else chosen
        if fresh is False and chosen and (lesson := self._lessons.get(chosen)) and lesson.done:
            target = view.next_lesson or chosen
        if target in self._lessons:
            self.lessons.highlighted = self.lessons.get_option_index(target)
        done = sum(lesson.done and not lesson.skipped for lesson in self._lessons.values())
        total = len(self._lessons)
        if view.notice and view.notice != self._notice and self.is_current:
            from tutor.screens.dialogs import ChoiceDialog

            self._notice = view.notice
            self.app.push_screen(ChoiceDialog("Your progress", view.notice, [("ok", "Continue")]))
        told = [f"{done} of {total} lessons done"] if total else []
        placed = sum(lesson.placed for lesson in self._lessons.values())
        told += [f"{placed} placed"] if placed else []
        told += [f"{view.due} to review (v)"] if view.due else []
        self.query_one(HeaderBar).show("Course", " · ".join(told))
        self.refresh_bindings()

    def _fill(self) -> None:
        lessons = self.lessons
        width = max(30, lessons.scrollable_content_region.width - 2)
        lessons.clear_options()
        options: list[Option | None] = []
        for chapter in self.view.chapters:
            if options:
                options.append(Option("", disabled=True))
            done = sum(lesson.done and not lesson.skipped for lesson in chapter.lessons)
            title = Content.styled(f"{chapter.number}  {chapter.title}", "bold")
            count = f"{done}/{len(chapter.lessons)}" if chapter.lessons else "to come"
            if placed := sum(lesson.placed for lesson in chapter.lessons):
                count = f"{placed} placed  {count}"
            options.append(Option(self._line(title, count, width), disabled=True))
            for lesson in chapter.lessons:
                is_next = lesson.id == self.view.next_lesson
                sign, style = mark(lesson, is_next)
                flag = ("  ⚑", "$text-accent") if lesson.bookmarked else ""
                title = Content.assemble("   ", (sign, style), " ", lesson.title, flag)
                options.append(Option(self._line(title, state(lesson, is_next), width), id=lesson.id))
        if self.view.problems:
            options += [Option("", disabled=True), Option(Content.styled("Not readable", "bold"), disabled=True)]
            options += [Option(Content.assemble("   ! ", text), disabled=True) for text in self.view.problems]
        lessons.add_options(options)

    @staticmethod
    def _line(left: Content, right: str, width: int) -> Content:
        room = width - len(right) - 2
        if left.cell_length > room:
            left = left.truncate(max(8, room), ellipsis=True)
        return Content.assemble(left, " " * max(1, width - left.cell_length - len(right)), right)

    def on_resize(self) -> None:
        """Fit the lines."""

        def refit() -> None:
            at = self.lessons.highlighted
            self._fill()
            self.lessons.highlighted = at

        self.call_after_refresh(refit)

    def _chosen_id(self) -> str:
        at = self.lessons.highlighted
        return (self.lessons.get_option_at_index(at).id or "") if at is not None else ""

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell about the lesson under the bar."""
        lesson = self._lessons.get(event.option_id or "")
        about = self.query_one("#about", Static)
        if lesson is None:
            about.update("")
            return
        is_next = lesson.id == self.view.next_lesson
        facts = [f"about {lesson.minutes} min"] if lesson.minutes else []
        if lesson.steps:
            facts.append(f"{lesson.steps} steps")
        told = state(lesson, is_next)
        if lesson.review:
            facts.append("some of your predictions were wrong: v asks again")
        elif lesson.placed:
            facts.append("placed: you knew its chapter")
        elif lesson.started:
            facts.append(told)
            facts += [f"{lesson.skipped} skipped"] * bool(lesson.skipped and not lesson.done)
        if lesson.missed and not lesson.review:
            facts.append(f"{lesson.missed} wrong prediction{'s' if lesson.missed > 1 else ''}")
        verb = "continue" if lesson.started and not lesson.done else "take it again" if lesson.done else "start"
        parts: list[Content | str | tuple[str, str]] = [
            (lesson.title, "bold $text-primary"),
            "\n" if self.has_class("-narrow") else "\n\n",
        ]
        if lesson.summary:
            parts += [lesson.summary, "\n" if self.has_class("-narrow") else "\n\n"]
        parts += [(" · ".join(facts), "$muted"), "   ", ("⏎ ", "bold $text-primary"), verb]
        about.update(Content.assemble(*parts))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open a lesson; one that is back for review asks its questions first, if the learner likes."""
        lesson = self._lessons.get(event.option_id or "")
        if lesson is None:
            return
        if not (lesson.review and lesson.done):
            self.app.open_lesson(lesson.id)
            return
        from tutor.screens.dialogs import ChoiceDialog

        def chosen(choice: str | bool | None) -> None:
            if choice == "review":
                self.action_review(lesson.id)
            elif choice == "lesson":
                self.app.open_lesson(lesson.id)

        count = "the question" if lesson.missed == 1 else f"the {lesson.missed} questions"
        choices = [("review", f"Answer {count} again"), ("lesson", "Take the whole lesson again")]
        self.app.push_screen(ChoiceDialog(lesson.title, "Some of your predictions were wrong.", choices), chosen)

    def action_review(self, lesson: str = "") -> None:
        """Ask again what was predicted wrongly."""
        from tutor.screens.review import ReviewScreen

        self.app.push_screen(ReviewScreen(lesson))

    def action_place(self) -> None:
        """Ask how the learner shows that they know the chapter of the lesson under the bar."""
        from tutor.screens.placement import IKnowThis, PlacementScreen

        chosen = self._chosen_id()
        chapter = next((each for each in self.view.chapters if chosen in (it.id for it in each.lessons)), None)
        if chapter is None:
            return

        def answered(choice: str | bool | None) -> None:
            if choice == "questions":
                self.app.push_screen(PlacementScreen(chapter.number))
            elif choice == "challenge":
                self._claim(chapter.number)
            elif choice == "undo":
                self._take_placement_back(chapter.number)

        self.app.push_screen(IKnowThis(chapter), answered)

    @work(group="act")
    async def _claim(self, chapter: int) -> None:
        lesson, told = await asyncio.to_thread(self.app.course.claim, chapter)
        self.app.notify(told, title="I know this", timeout=8, markup=False)
        if lesson:
            self.app.open_lesson(lesson)
        else:
            self.load()

    @work(group="act")
    async def _take_placement_back(self, chapter: int) -> None:
        await asyncio.to_thread(self.app.course.take_placement_back, chapter)
        self.load()

    def action_bookmarks(self) -> None:
        """Choose a bookmark and go there."""
        self.app.action_bookmarks()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the review when there is something to ask, and the bookmarks when there are any."""
        offered = {"review": self.view.due, "bookmarks": self.view.bookmarks}
        return bool(offered.get(action, True))

    # -- text pasted without the terminal's marks, which arrives as keys

    def on_key(self, event: events.Key) -> None:
        """Hold a letter back for a moment: when another follows at once, both are ignored, as a paste is."""
        if event is self._released:
            self._released = None
        elif event.is_printable:
            event.stop()

            def release() -> None:
                self._released = events.Key(event.key, event.character)
                self._released.set_sender(self.app)  # it would not get past its sender
                self.app.post_message(self._released)

            self._hold(release)

    def _hold(self, act: Callable[[], object]) -> None:
        if self._key_timer is not None:
            self._key_timer.stop()
            self._burst = True

        def quiet() -> None:
            burst, self._burst, self._key_timer = self._burst, False, None
            if not burst and self.is_current:
                act()

        self._key_timer = self.set_timer(BURST_SECONDS, quiet)

    def action_ask_to_quit(self) -> None:
        """Leave the program after a confirmation, because Esc may be pressed once too often."""
        from tutor.screens.dialogs import ChoiceDialog

        def chosen(choice: str | bool | None) -> None:
            if choice == "quit":
                self.app.exit()

        choices = [("stay", "Stay"), ("quit", "Quit")]
        text = "Your progress is kept." if self.app.course.saves else NOT_SAVED
        self.app.push_screen(ChoiceDialog("Quit redis-tutor?", text, choices), chosen)

    def action_open(self) -> None:
        """Open the lesson under the bar."""
        self._hold(self.lessons.action_select)
