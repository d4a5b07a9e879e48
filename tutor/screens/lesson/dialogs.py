"""What is asked at the end of a lesson, and when it is left."""

from tutor.lesson import messages as m
from tutor.lesson.view import LessonSetup
from tutor.screens.dialogs import ChoiceDialog, Confirm
from tutor.screens.map import NOT_SAVED


class EndOfLesson(ChoiceDialog):
    """The lesson is done: "next", "map", "stay", or "go N" to look at a step again."""

    def __init__(self, news: m.Finished) -> None:
        choices = [("map", "Back to the map")]
        if news.next_lesson:
            choices.insert(0, ("next", f"Go on with “{news.next_title}”"))
        choices += [(f"go {at}", f"Look again at step {at + 1}, “{title}”") for at, title in news.again]
        choices.append(("stay", "Stay and play"))
        super().__init__(f"✓ {news.title}", "\n".join(("That was the lesson.", *news.told)), choices)


class StartAfresh(Confirm):
    """Start the lesson again, or empty the sandbox?"""

    def __init__(self, setup: LessonSetup | None) -> None:
        if setup is not None and setup.place == "sandbox":
            text = "The data and the undo history are removed. F4 cannot bring them back."
            super().__init__("Start afresh?", text, "Start afresh")
        else:
            text = "The server starts empty, and every step of this lesson is open again."
            super().__init__("Start the lesson again?", text, "Start again")


class LeaveLesson(ChoiceDialog):
    """Leave the lesson? "stay" or "map"."""

    def __init__(self, setup: LessonSetup | None, saves: bool) -> None:
        title = f"“{setup.title}”" if setup else "the lesson"
        if saves:
            text = "You can continue later where you are now."
        else:
            text = NOT_SAVED
        super().__init__(f"Leave {title}?", text, [("stay", "Stay"), ("map", "Go to the map")])
