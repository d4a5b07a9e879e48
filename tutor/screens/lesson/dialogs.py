"""What is asked at the end of a lesson, and when it is left."""

from tutor.lesson import messages as m
from tutor.lesson.view import LessonSetup
from tutor.screens.dialogs import ChoiceDialog
from tutor.screens.map import NOT_SAVED

SANDBOX_ENDS = "Its server stops, and its data is lost."


class EndOfLesson(ChoiceDialog):
    """The lesson is done: "next", "map", "stay", or "go N" to look at a step again."""

    def __init__(self, news: m.Finished) -> None:
        choices = [("map", "Back to the map")]
        if news.next_lesson:
            choices.insert(0, ("next", f"Go on with “{news.next_title}”"))
        choices += [(f"go {at}", f"Look again at step {at + 1}, “{title}”") for at, title in news.again]
        choices.append(("stay", "Stay and play"))
        super().__init__(f"✓ {news.title}", "\n".join(("That was the lesson.", *news.told)), choices)


class LeaveLesson(ChoiceDialog):
    """Leave the lesson? "stay" or "map"."""

    def __init__(self, setup: LessonSetup | None, saves: bool) -> None:
        title = f"“{setup.title}”" if setup else "the lesson"
        if setup is None or setup.id == "sandbox":
            text = SANDBOX_ENDS
        elif saves:
            text = "You can continue later where you are now."
        else:
            text = NOT_SAVED
        super().__init__(f"Leave {title}?", text, [("stay", "Stay"), ("map", "Go to the map")])
