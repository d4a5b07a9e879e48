"""The first line of a lesson: where the learner is, and how far."""

from tutor.lesson import messages as m
from tutor.widgets.header import HeaderBar, dots
from tutor.widgets.news import shows

WIDE = 100  # columns of a window that has room for how long the rest takes


class LessonHeader(HeaderBar):
    """The header of a lesson."""

    def on_mount(self) -> None:
        """Say what the learner waits for."""
        self.show("opening the lesson …")

    @shows(m.StepShown)
    def show_step(self, news: m.StepShown) -> None:
        """Show which step it is, and which are done."""
        step = news.step
        at = f"step {step.number} of {step.of}{' ⚑' * step.bookmarked}" if not step.free_play else "free play"
        minutes = f"  about {step.minutes_left} min" if step.minutes_left and self.app.size.width >= WIDE else ""
        self.show(f"{step.chapter} › {step.lesson}", f"{at}  {dots(step.done, step.number - 1)}{minutes}")
