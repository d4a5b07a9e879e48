"""The review on a screen: one question after the other, of those that you predicted wrongly."""

from typing import ClassVar

from tutor.lesson.view import ReviewOutcome, ReviewQuestion
from tutor.screens.questions import QuestionScreen

HELP = """\
The questions that you predicted wrongly are asked again here, some days apart: tomorrow at first, then at increasing
intervals. **Enter** answers, and shows why; **Enter** again asks the next question. **Esc** ends the review whenever
you like. `redis-tutor review` asks the same questions line by line.
"""


class ReviewScreen(QuestionScreen[None]):
    """What is due now; `lesson` limits it to one lesson."""

    HELP = HELP
    HELP_TITLE = "The review"
    TITLE_BAR: ClassVar[str] = "Review"

    def __init__(self, lesson: str = "") -> None:
        super().__init__()
        self._lesson = lesson
        self._left: list[ReviewQuestion] = []

    def read(self) -> int:
        """See `QuestionScreen`."""
        self._left = list(self.app.course.review(self._lesson))
        return len(self._left)

    def fetch(self) -> ReviewQuestion | None:
        """See `QuestionScreen`."""
        return self._left.pop(0) if self._left else None

    def answer(self, question: ReviewQuestion, said: str) -> ReviewOutcome | None:
        """See `QuestionScreen`."""
        return self.app.course.review_answer(question.key, said)

    def ending(self) -> str:
        """See `QuestionScreen`."""
        return f"{self.right} of {self.total} right." if self.total else "Nothing to review now."
