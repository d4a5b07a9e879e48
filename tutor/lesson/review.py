"""The review: wrong predictions are asked again, some days apart, until the answers are known.

FSRS decides when (the package `fsrs`, without its learning steps, which are minutes). A question enters with its
first wrong answer and leaves once it would return in more than three months. Cards are kept with the progress.
"""

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tutor.lesson.actions import parse
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.model import Lesson, Prediction
from tutor.lesson.progress import Card, Progress, ProgressFile, card_key
from tutor.lesson.shuffle import shuffle
from tutor.prompt.markdown import one_line

KNOWN_DAYS = 90.0
AT_ONCE = 8  # questions: about two minutes
LEAVING = (":quit", ":q", "exit", "quit")

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class DueQuestion:
    """A question that is due."""

    key: str
    lesson: Lesson
    step: int  # index
    prediction: Prediction
    due: float  # seconds since 1970


def scheduled(card: Card | None, right: bool, now: float) -> Card | None:
    """Return a card after an answer, or None when the question is known."""
    from fsrs import Card as FsrsCard
    from fsrs import Rating, Scheduler, State

    scheduler = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)
    moment = _moment(now)
    if card is None:
        if right:
            return None
        known = FsrsCard(card_id=1, due=moment)
    else:
        known = FsrsCard(
            1, State.Review, None, card.stability, card.difficulty, _moment(card.due), _moment(card.last)
        )
    known, _ = scheduler.review_card(known, Rating.Good if right else Rating.Again, moment)
    due = known.due.timestamp()
    if right and due - now > KNOWN_DAYS * 86400:
        return None
    return Card(due, now, known.stability or 1.0, known.difficulty or 5.0)


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def questions(course: Catalogue, progress: Progress) -> list[DueQuestion]:
    """Return every question that is in the review, the first to be asked first."""
    found: list[DueQuestion] = []
    for lesson in course.lessons:
        taken = progress.of(lesson.id)
        if taken is None:
            continue
        for at, step in enumerate(lesson.steps):
            for prediction in step.predictions:
                key = card_key(lesson.id, at, prediction.id)
                card = progress.kept.cards.get(key)
                missed = any((miss.step, miss.prediction) == (at, prediction.id) for miss in taken.missed)
                if card is not None or missed:
                    when = card.due if card is not None else 0.0
                    found.append(DueQuestion(key, lesson, at, shuffle(prediction, f"{key} {when}"), when))
    return sorted(found, key=lambda each: each.due)


def due(course: Catalogue, progress: Progress, now: float | None = None, lesson: str = "") -> list[DueQuestion]:
    """Return the questions to be asked now, of one lesson or of all."""
    moment = time.time() if now is None else now
    return [
        each for each in questions(course, progress) if each.due <= moment and lesson in ("", each.lesson.id)
    ][:AT_ONCE]  # fmt: skip


def answered(progress: Progress, asked: DueQuestion, right: bool, now: float | None = None) -> str:
    """Take note of an answer; returns when the question comes back, in words."""
    moment = time.time() if now is None else now
    card = progress.kept.cards.get(asked.key) or scheduled(None, False, moment - 86400)
    after = scheduled(card, right, moment)

    def change(kept: ProgressFile) -> None:
        if after is None:
            kept.cards.pop(asked.key, None)
        else:
            kept.cards[asked.key] = after
        taken = kept.lessons.get(asked.lesson.key)
        if right and taken is not None:
            here = (asked.step, asked.prediction.id)
            taken.missed = [each for each in taken.missed if (each.step, each.prediction) != here]

    progress.change(change)
    if after is None:
        return "You know it: this question does not return."
    return f"It returns {in_days(after.due, moment)}."


def in_days(due_at: float, now: float) -> str:
    """Return a moment as people say it."""
    days = max(0, math.ceil((due_at - now) / 86400 - 0.01))
    return "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"


def ask(
    read: Callable[[str], str | None],
    write: Callable[[str], object],
    take: Callable[[str], Outcome | None],
    again: Callable[[str], str],
) -> Outcome | None:
    """Read answers until one can be taken; returns what `take` made of it, or None if the learner leaves."""
    while (said := (read("Your answer: ") or "").strip()) and said not in LEAVING:
        if said.startswith(":") and parse(said[1:])[0] is not None:
            write(f"{said.split()[0]} does nothing here. An empty line or :quit ends the questions.")
        elif (outcome := take(said)) is not None:
            return outcome
        else:
            write(again(said))
    return None


def converse(
    course: Catalogue, progress: Progress, read: Callable[[str], str | None], write: Callable[[str], object]
) -> None:
    """Ask what is due, line by line."""
    asked = due(course, progress)
    if not asked:
        rest = questions(course, progress)
        write(
            f"Nothing to review. The next question returns {in_days(rest[0].due, time.time())}."
            if rest
            else "Nothing to review: none of your predictions was wrong."
        )
        return
    write(f"{len(asked)} question{'s' if len(asked) > 1 else ''} to review. An empty line or :quit ends the review.")
    for number, each in enumerate(asked, 1):
        question = each.prediction
        write("")
        write(f"{number} of {len(asked)} · {each.lesson.title}, step {each.step + 1}")
        write(one_line(question.question))
        for label, option in zip(question.labels, question.options, strict=True):
            write(f"  {label}. {one_line(option)}")

        def take(said: str, question: Prediction = question) -> bool | None:
            return question.right(said) if question.read(said) else None

        right = ask(read, write, take, question.again)
        if right is None:
            return
        write("Right." if right else f"Not quite. Correct: {one_line(question.answers[0])}.")
        write(one_line(question.because))
        write(answered(progress, each, right))


def run(read: Callable[[str], str | None], write: Callable[[str], object] = print) -> int:
    """Hold the review at standard output; returns the exit status."""
    import contextlib
    import sys

    from tutor.lesson.catalogue import installed_course

    progress = Progress()
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        converse(installed_course(), progress, read, write)
    return 0
