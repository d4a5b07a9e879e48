"""“I know this”: a few questions about a chapter, so that its lessons count as placed."""

from typing import ClassVar

from tutor.lesson.front_end import PlacementQuestions
from tutor.lesson.view import ChapterEntry, PlacementResult, ReviewOutcome, ReviewQuestion
from tutor.screens.dialogs import ChoiceDialog
from tutor.screens.questions import QuestionScreen

HELP = """\
Questions from the lessons of a chapter. At most one answer may be wrong; then the chapter's lessons count as
*placed*: they are not done or started, and you can take them whenever you like. If more are wrong, nothing
changes.
**Enter** answers, and shows why; **Enter** again asks the next question. **Esc** ends it, and nothing changes.
`redis-tutor place CHAPTER` asks line by line.
"""


class PlacementScreen(QuestionScreen[bool]):
    """The questions of a chapter. Dismissed with whether the chapter is placed."""

    HELP = HELP
    HELP_TITLE = "I know this"
    TITLE_BAR: ClassVar[str] = "I know this"

    def __init__(self, chapter: int) -> None:
        super().__init__()
        self._chapter = chapter
        self._questions: PlacementQuestions | None = None
        self._result: PlacementResult | None = None

    def read(self) -> int:
        """See `QuestionScreen`."""
        self._questions = self.app.course.placement(self._chapter)
        return len(self._questions)

    def fetch(self) -> ReviewQuestion | None:
        """See `QuestionScreen`."""
        return self._questions.next() if self._questions is not None else None

    def answer(self, question: ReviewQuestion, said: str) -> ReviewOutcome | None:
        """See `QuestionScreen`."""
        if self._questions is None:
            return None
        outcome = self._questions.answer(said)
        if outcome is not None and self._questions.number == len(self._questions):
            self._result = self._questions.finish()  # now, in case the learner leaves after the last answer
        return outcome

    def refusal(self, said: str) -> str:
        """See `QuestionScreen`."""
        return self._questions.again(said) if self._questions is not None else ""

    def ending(self) -> str:
        """See `QuestionScreen`."""
        return " ".join(self._result.rows) if self._result is not None else "There is nothing to ask."

    def action_leave(self) -> None:
        """See `QuestionScreen`. Asks first when answers would be lost."""
        under_way = self._result is None and (self._asked > 1 or (self._asked == 1 and self._answered))

        def chosen(choice: str | bool | None) -> None:
            if choice == "end":
                self.dismiss(False)

        if under_way:
            text = "Your answers so far are not kept, and no lesson is placed."
            choices = [("stay", "Continue with the questions"), ("end", "End them")]
            self.app.push_screen(ChoiceDialog("End the questions?", text, choices), chosen)
        else:
            self.dismiss(self._result is not None and self._result.passed)


class IKnowThis(ChoiceDialog):
    """How to show that you know a chapter: "questions", "challenge", or "undo"."""

    def __init__(self, chapter: ChapterEntry) -> None:
        placed = sum(lesson.placed for lesson in chapter.lessons)
        text = (
            "If you know this chapter, its lessons can count as placed. You can still take them, and if you do "
            "not pass, nothing changes."
        )
        choices = [("questions", "Answer six questions about its lessons")]
        if chapter.challenge:
            choices.append(("challenge", "Solve its challenge"))
        if placed:
            choices.append(("undo", f"Place no lesson ({placed} placed now)"))
        choices.append(("", "Not now"))
        super().__init__(f"{chapter.number}  {chapter.title}", text, choices)
