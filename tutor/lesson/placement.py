"""Placement: a learner who knows a chapter already shows it, and the chapter's lessons count as placed.

There are two ways: a few questions, drawn from the predictions of the chapter's lessons, or the chapter's challenge,
solved without the solution being shown. *Placed* is a state of its own: such a lesson is neither done nor begun, and
can be taken at any time. Someone who does not pass has lost nothing.
"""

import random
import re
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutor.lesson.catalogue import Catalogue, installed_course
from tutor.lesson.model import Example, Lesson, Prediction, Prose, Step
from tutor.lesson.progress import Progress, ProgressFile
from tutor.lesson.review import ask
from tutor.lesson.shuffle import shuffle
from tutor.lesson.summary import Summary, skipped_in
from tutor.lesson.transcript import prompted
from tutor.lesson.typed import reach
from tutor.lesson.view import PlacementResult, ReviewOutcome, ReviewQuestion
from tutor.prompt import split_args, to_text
from tutor.prompt.markdown import one_line, to_paragraphs
from tutor.prompt.words import shorten

QUESTIONS = 6
MOST_WRONG = 1
REPLY_ROWS = 8  # of a reply in what is shown above a question
NOT_PASSED = 3  # the exit status


@dataclass(frozen=True, slots=True)
class PlacementQuestion:
    """A question that was drawn."""

    lesson: Lesson
    step: Step
    prediction: Prediction


def lessons_of(course: Catalogue, chapter: int) -> list[Lesson]:
    """Return the lessons of a chapter."""
    return [lesson for lesson in course.lessons if lesson.front.chapter == chapter]


def challenge_of(course: Catalogue, chapter: int) -> Lesson | None:
    """Return the challenge of a chapter: the last one, which needs all of it."""
    return next((lesson for lesson in reversed(lessons_of(course, chapter)) if lesson.front.challenge), None)


# -- drawing


def draw(course: Catalogue, chapter: int, seed: int) -> list[PlacementQuestion]:
    """Return questions in the order of the course: from as many lessons as possible, with shuffled options."""
    lots = random.Random(seed)
    by_lesson: list[list[PlacementQuestion]] = []
    for lesson in lessons_of(course, chapter):
        every = [PlacementQuestion(lesson, step, each) for step in lesson.steps for each in step.predictions]
        clear = [each for each in every if _is_clear(each)]
        if clear and not lesson.front.challenge:
            by_lesson.append(lots.sample(clear, len(clear)))
    lots.shuffle(by_lesson)
    drawn: list[PlacementQuestion] = []
    while any(by_lesson) and len(drawn) < QUESTIONS:
        for left in by_lesson:
            if left and len(drawn) < QUESTIONS:
                drawn.append(left.pop())
    places = {lesson.key: at for at, lesson in enumerate(course.lessons)}
    drawn.sort(key=lambda each: (places[each.lesson.key], each.step.number, each.prediction.line))
    return [PlacementQuestion(each.lesson, each.step, shuffle(each.prediction, seed)) for each in drawn]


def _is_clear(question: PlacementQuestion) -> bool:
    """Return whether a question can be answered by someone who has not taken the steps before it."""
    if question.step.number == 1:
        return True
    if any(not question.lesson.is_prompt(example.terminal) for example in question.prediction.examples):
        return False
    context = context_of(question)
    known = f"{context} {question.prediction.question}"
    lines = [each.command for example in question.prediction.examples for each in example.exchanges if each.command]
    keys = {to_text(key) for line in lines for key in reach(split_args(line) or [])[1]}
    return bool(context) and all(re.search(rf"(?<![\w:]){re.escape(key)}(?![\w:])", known) for key in keys)


def context_of(question: PlacementQuestion) -> str:
    """Return what the step shows above a question, as Markdown."""
    parts: list[str] = []
    for block in question.step.blocks:
        if block == question.prediction or (isinstance(block, Prediction) and block.line >= question.prediction.line):
            break
        if isinstance(block, Prose):
            parts.append(block.markdown.strip())
        elif isinstance(block, Example) and not block.setup:
            parts.append(_transcript(block, named=len(question.lesson.terminals) > 1))
    return "\n\n".join(parts)


def _transcript(example: Example, named: bool) -> str:
    rows = [f"({example.terminal})"] if named else []
    for each in example.exchanges:
        reply = each.reply.splitlines()
        rows += prompted(each.prompt, each.command)
        rows += reply[:REPLY_ROWS] + ["…"] * (len(reply) > REPLY_ROWS)
    return "\n".join(("```", *rows, "```"))


# -- what it changes


def place(progress: Progress, lessons: Sequence[Lesson], chapter: int) -> int:
    """Have the lessons that are not done count as placed; returns how many."""
    open_lessons = [lesson.key for lesson in lessons if not ((taken := progress.of(lesson.key)) and taken.done)]

    def change(kept: ProgressFile) -> None:
        kept.placed |= {key: time.time() for key in open_lessons if key not in kept.placed}
        kept.claimed = [each for each in kept.claimed if each != chapter]

    progress.change(change)
    return len(open_lessons)


def take_back(course: Catalogue, progress: Progress, chapter: int) -> int:
    """Have no lesson of a chapter count as placed any more; returns how many did."""
    keys = {lesson.key for lesson in lessons_of(course, chapter)}
    count = len(keys & progress.kept.placed.keys())

    def change(kept: ProgressFile) -> None:
        kept.placed = {key: when for key, when in kept.placed.items() if key not in keys}
        kept.claimed = [each for each in kept.claimed if each != chapter]

    progress.change(change)
    return count


def claim(course: Catalogue, progress: Progress, chapter: int) -> tuple[Lesson | None, str]:
    """Take the chapter's challenge as its placement; returns the challenge, if it is still open, and what to say."""
    challenge = challenge_of(course, chapter)
    if challenge is None:
        return None, "This chapter has no challenge."
    taken = progress.of(challenge.key)
    if taken is not None and taken.done and not taken.shown and not skipped_in(challenge, taken):
        count = place(progress, lessons_of(course, chapter), chapter)
        return None, f"You have solved the challenge already. {_counted(count)}"

    def change(kept: ProgressFile) -> None:
        if chapter not in kept.claimed:
            kept.claimed.append(chapter)

    progress.change(change)
    return challenge, "Solve every task without F3 (:show), and the lessons of the chapter count as placed."


def challenge_over(course: Catalogue, progress: Progress, lesson: Lesson, summary: Summary) -> list[str]:
    """Return what to say at the end of a challenge that was taken as a placement, and place the chapter."""
    chapter = lesson.front.chapter
    if not lesson.front.challenge or lesson.own_file or chapter not in progress.kept.claimed:
        return []
    if summary.skipped or summary.shown:
        return [
            "The chapter is not placed: that needs every task, without F3. Take the challenge again to try again."
        ]
    return [_counted(place(progress, lessons_of(course, chapter), chapter))]


def _counted(count: int) -> str:
    if not count:
        return "Every lesson of the chapter is done."
    return f"{count} lesson{'s' if count > 1 else ''} of the chapter count{'s' if count == 1 else ''} as placed."


# -- a placement by questions


class Placement:
    """The questions of a chapter, one after the other. Nothing is kept until `finish`."""

    def __init__(self, course: Catalogue, progress: Progress, chapter: int, seed: int | None = None) -> None:
        self.title = course.chapters[chapter]
        self.chapter = chapter
        self._course, self._progress = course, progress
        self._questions = draw(course, chapter, secrets.randbits(62) if seed is None else seed)
        self._at = -1
        self._wrong: list[PlacementQuestion] = []
        self._answered = 0

    def __len__(self) -> int:
        """Return how many questions there are."""
        return len(self._questions)

    @property
    def number(self) -> int:
        """The number of the question that is asked now, from 1."""
        return self._at + 1

    def next(self) -> ReviewQuestion | None:
        """Return the next question; None after the last."""
        self._at += 1
        if self._at >= len(self._questions):
            return None
        now = self._questions[self._at]
        return ReviewQuestion(
            str(self._at),
            now.lesson.title,
            now.step.number,
            one_line(now.prediction.question),
            now.prediction.labels,
            tuple(map(one_line, now.prediction.options)),
            context_of(now),
        )

    def again(self, said: str) -> str:
        """Return why an answer to the current question was not taken."""
        return self._questions[self._at].prediction.again(said)

    def answer(self, said: str) -> ReviewOutcome | None:
        """Take the answer to the current question; None if it cannot be read as one."""
        now = self._questions[self._at]
        if not now.prediction.read(said):
            return None
        right = now.prediction.right(said)
        self._answered += 1
        if not right:
            self._wrong.append(now)
        told = "From now on, every answer must be right." if not right and len(self._wrong) == MOST_WRONG else ""
        return ReviewOutcome(right, one_line(now.prediction.answers[0]), now.prediction.because, told)

    def finish(self) -> PlacementResult:
        """Return how it went; who has passed gets the chapter's lessons placed."""
        right = self._answered - len(self._wrong)
        rows = [f"{right} of {len(self)} right."]
        passed = 0 < len(self) == self._answered and len(self._wrong) <= MOST_WRONG
        if passed:
            rows.append(_counted(place(self._progress, lessons_of(self._course, self.chapter), self.chapter)))
        else:
            rows.append(f"The chapter is not placed: that needs {len(self) - MOST_WRONG} of {len(self)}.")
        titles = dict.fromkeys(each.lesson.title for each in self._wrong)
        if titles:
            rows.append(f"Worth a look: {', '.join(titles)}.")
        return PlacementResult(passed, tuple(rows))


# -- line by line


def find_chapter(course: Catalogue, name: str) -> int | None:
    """Return the chapter of this number, or whose title contains this text; None if there is not exactly one."""
    if name.isdecimal() and int(name) in course.chapters:
        return int(name)
    found = [number for number, title in course.chapters.items() if name.strip().lower() in title.lower()]
    return found[0] if len(found) == 1 else None


def converse(placement: Placement, read: Callable[[str], str | None], write: Callable[[str], object]) -> bool:
    """Ask all questions, line by line; returns whether the chapter is placed."""
    count = len(placement)
    write(f"{placement.title}: {count} questions; at most {MOST_WRONG} may be wrong. An empty line or :quit ends it.")
    while (question := placement.next()) is not None:
        write("")
        write(f"{placement.number} of {count} · {question.lesson}, step {question.step}")
        for row in to_paragraphs(question.context).splitlines():
            write(f"  {row}" if row else "")
        write(f"? {question.text}")
        for label, choice in zip(question.labels, question.choices, strict=True):
            write(f"  {label}. {choice}")
        outcome = ask(read, write, placement.answer, placement.again)
        if outcome is None:
            write("Nothing has changed.")
            return False
        write(f"Right. {outcome.returns}".strip() if outcome.right else f"Not quite. Correct: {outcome.answer}.")
        write(one_line(outcome.because))
    result = placement.finish()
    write("")
    for row in result.rows:
        write(row)
    return result.passed


def _named(course: Catalogue, name: str) -> int | None:
    """Return the chapter of this name; None, with a message, if there is none."""
    chapter = find_chapter(course, name)
    if chapter is None:
        known = ", ".join(f"{number} {title}" for number, title in course.chapters.items())
        print(f"redis-tutor: there is no chapter {shorten(name)!r}; the chapters are: {known}", file=sys.stderr)
    return chapter


def begin_challenge(name: str) -> tuple[Lesson | None, int]:
    """Take the challenge of a chapter as its placement, and say so; returns it if it is open, and the exit status."""
    course = installed_course()
    chapter = _named(course, name)
    if chapter is None:
        return None, 1
    challenge, told = claim(course, Progress(), chapter)
    print(told)
    return challenge, 0 if challenge_of(course, chapter) is not None else 1


def run(
    name: str,
    read: Callable[[str], str | None],
    takes_back: bool = False,
    write: Callable[[str], object] = print,
) -> int:
    """Hold a placement at standard output, or take one back; returns the exit status."""
    course, progress = installed_course(), Progress()
    chapter = _named(course, name)
    if chapter is None:
        return 1
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    if takes_back:
        count = take_back(course, progress, chapter)
        print(f"{count} lesson{'s' if count != 1 else ''} of the chapter no longer placed.")
        return 0
    try:
        passed = converse(Placement(course, progress, chapter), read, write)
    except (KeyboardInterrupt, BrokenPipeError):
        return NOT_PASSED
    return 0 if passed else NOT_PASSED
