"""The options of predictions in a different order for every learner and every attempt.

The place of an option then reveals nothing, neither to a neighbor nor to the same learner in the review. Answers are
stored as texts, so that they mean the same in every order.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from tutor import answers
from tutor.lesson.model import Lesson, Prediction

_ABOUT_OTHERS = re.compile(r"(both|neither|(all|none) of)\b", re.I)


def _number(option: str) -> float | None:
    """Return the number that an option is, or None."""
    found = re.fullmatch(r"[-\u2212]?\d[\d, ]*(\.\d+)?", answers.loose(option))
    return float(re.sub("[, ]", "", found[0]).replace("\u2212", "-")) if found else None


def shuffled(options: Sequence[str], seed: object) -> tuple[str, ...]:
    """Return options in an order that the seed determines.

    Numbers stay in the order of their size, and an option about the others, such as "Neither", stays in its place.
    """
    numbers = {option: number for option in options if (number := _number(option)) is not None}
    if len(numbers) == len(options):
        return tuple(sorted(options, key=numbers.__getitem__))
    free = [place for place, option in enumerate(options) if not _ABOUT_OTHERS.match(answers.bare(option))]
    mixed = random.Random(str(seed)).sample(free, len(free))
    order = dict(zip(free, mixed, strict=True))
    return tuple(options[order.get(place, place)] for place in range(len(options)))


def shuffle(prediction: Prediction, seed: object) -> Prediction:
    """Return a prediction with its options shuffled."""
    return replace(prediction, options=shuffled(prediction.options, f"{seed} {prediction.id}"))


def for_learner(lesson: Lesson, seed: int) -> Lesson:
    """Return a lesson with the options of all its predictions shuffled."""
    steps = tuple(
        replace(
            step,
            blocks=tuple(shuffle(each, seed) if isinstance(each, Prediction) else each for each in step.blocks),
        )
        for step in lesson.steps
    )
    return replace(lesson, steps=steps)
