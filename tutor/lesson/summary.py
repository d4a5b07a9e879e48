"""What a learner did in a lesson and in a chapter, counted and told in sentences."""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutor.lesson.counting import CommandCount
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Taken
from tutor.pictures import canvas
from tutor.prompt.commands import CommandDocs
from tutor.prompt.markdown import one_line

LONGEST_PAUSE_MS = 120_000  # longer ones count as this: the learner was away
MOST_COMMANDS = 12
GOAL = 70  # characters of a goal or a question that are told


@dataclass(frozen=True, slots=True)
class WrongPrediction:
    """A wrong prediction."""

    step: int  # index
    question: str
    said: str
    right: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A lesson that was taken."""

    tasks: int = 0
    skipped: tuple[tuple[int, str], ...] = ()  # step (index) and aim of tasks that were not done
    right: int = 0  # predictions
    wrong: tuple[WrongPrediction, ...] = ()
    unanswered: int = 0
    commands: tuple[str, ...] = ()
    hints: int = 0
    shown: int = 0  # solutions that were typed for the learner
    seconds: int = 0
    count: CommandCount | None = None  # of the commands in a challenge


def summary(
    lesson: Lesson,
    done: Collection[tuple[int, str]],
    predicted: Iterable[tuple[int, str, str]],
    rows: Sequence[Mapping[str, Any]],
    count: CommandCount | None = None,
) -> Summary:
    """Count. `done` are tasks and `predicted` predictions by step and ID, `rows` the journal's."""
    said = {(step, name): answer for step, name, answer in predicted}
    right, wrong, unanswered = 0, [], 0
    for at, step in enumerate(lesson.steps):
        for prediction in step.predictions:
            answer = said.get((at, prediction.id), "")
            if not answer:
                unanswered += 1
            elif prediction.right(answer):
                right += 1
            else:
                wrong.append(WrongPrediction(at, prediction.question, answer, prediction.correct))
    times = [row["at"] for row in rows if isinstance(row.get("at"), int)]
    passed = sum(max(0, min(now - before, LONGEST_PAUSE_MS)) for before, now in itertools.pairwise(times))
    actions = [row.get("action") for row in rows]
    return Summary(
        sum(len(step.tasks) for step in lesson.steps),
        skipped(lesson, done),
        right,
        tuple(wrong),
        unanswered,
        _commands(lesson, rows),
        actions.count("hint"),
        actions.count("show"),
        passed // 1000,
        count,
    )


def skipped(lesson: Lesson, done: Collection[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    """Return the tasks of a lesson that were not done, by step (index) and aim."""
    tasks = ((at, task) for at, step in enumerate(lesson.steps) for task in step.tasks)
    return tuple((at, task.aim) for at, task in tasks if (at, task.id) not in done)


def skipped_in(lesson: Lesson, taken: Taken | None) -> int:
    """Return how many tasks were left out, in the steps that the learner has left."""
    if taken is None:
        return 0
    left = len(lesson.steps) if taken.done else taken.step
    return sum(at < left for at, _ in skipped(lesson, taken.tasks_done))


def _commands(lesson: Lesson, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the commands of a journal in the order of their first use; what is not a command is left out."""
    from tutor.lesson.shell import COMMANDS  # late: the map counts too, and needs no machines

    table, found = CommandDocs.load(), {}
    for row in rows:
        words = re.sub(r"^\d+ +", "", str(row.get("line", "")).strip()).split()
        terminal = str(row.get("terminal"))
        if not lesson.is_prompt(terminal):
            if lesson.is_shell(terminal) and words and words[0] in COMMANDS:
                found[words[0]] = True
        elif (known := table.find(words)) is not None:
            found[known[0].name] = True
    return tuple(found)


def duration(seconds: int) -> str:
    """Return a time as people say it."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def short(markdown: str) -> str:
    """Return the first sentence of a goal or question, without Markdown."""
    text = re.split(r"(?<=[.?!]) ", one_line(markdown))[0]
    return text if len(text) <= GOAL else text[: GOAL - 1].rsplit(" ", 1)[0] + " …"


def told(taken: Summary) -> list[str]:
    """Return what a learner is told at the end of a lesson."""
    rows = []
    solved = taken.tasks - len(taken.skipped)
    facts = [f"{solved} of {canvas.count(taken.tasks, 'task')} done"] if taken.tasks else []
    if taken.right or taken.wrong:
        facts.append(f"{taken.right} of {canvas.count(taken.right + len(taken.wrong), 'prediction')} right")
    facts += [canvas.count(taken.hints, "hint")] * bool(taken.hints)
    facts += [canvas.count(taken.shown, "solution") + " shown"] * bool(taken.shown)
    facts += [duration(taken.seconds)] * bool(taken.seconds)
    rows.append(" · ".join(facts))
    if taken.commands:
        rest = len(taken.commands) - MOST_COMMANDS
        more = f" and {rest} more" if rest > 0 else ""
        rows.append(f"You used {', '.join(taken.commands[:MOST_COMMANDS])}{more}.")
    if taken.count is not None:
        rows.append(taken.count.sentence())
    for wrong in taken.wrong:
        said, right = short(wrong.said), short(wrong.right)
        rows.append(f"Step {wrong.step + 1}: “{short(wrong.question)}” You said {said}; it is {right}.")
    if taken.wrong:
        rows.append("The review asks your wrong predictions again, from tomorrow on (redis-tutor review).")
    for step, aim in taken.skipped:
        rows.append(f"Skipped in step {step + 1}: {short(aim)}")
    if taken.unanswered:
        rows.append(f"{canvas.count(taken.unanswered, 'question')} not answered.")
    return [row for row in rows if row]


def chapter_told(
    title: str,
    lessons: Sequence[Lesson],
    taken: Sequence[Taken | None],
    following: str,
    is_course: bool = False,
    placed: Collection[str] = (),
) -> list[str]:
    """Return what a learner is told at the end of a chapter, or of the course; `placed` are keys of lessons."""
    known = [each for each in taken if each is not None]
    pairs = [(lesson, each) for lesson, each in zip(lessons, taken, strict=True) if each is not None and each.done]
    whole = [lesson for lesson, each in pairs if not skipped_in(lesson, each)]
    what = "the course" if is_course else f"the chapter “{title}”"
    rows = [
        f"That was the last lesson of {what}. You have done {len(whole)} of {canvas.count(len(lessons), 'lesson')}."
    ]
    left = sum(skipped_in(lesson, each) for lesson, each in zip(lessons, taken, strict=True))
    right, missed = sum(len(each.right) for each in known), sum(len(each.missed) for each in known)
    seconds = sum(each.seconds for each in known)
    facts = [canvas.count(sum(len(each.tasks) for each in known), "task") + " done"]
    facts += [f"{left} skipped"] * bool(left)
    open_lessons = [each for each, its in zip(lessons, taken, strict=True) if its is None or not its.done]
    count = sum(lesson.key in placed for lesson in open_lessons)
    facts += [f"{canvas.count(count, 'lesson')} placed"] * bool(count)
    facts += [f"{right} of {canvas.count(right + missed, 'prediction')} right"] * bool(right + missed)
    facts += [duration(seconds)] * bool(seconds)
    rows.append(" · ".join(facts))
    refuted = [
        lesson.front.wrong_idea
        for lesson, each in pairs
        if lesson in whole and (each.right or each.missed or not any(step.predictions for step in lesson.steps))
    ]
    if refuted and not is_course:
        rows.append("You have seen for yourself that these ideas are wrong:")
        rows += [f"- {idea}" for idea in refuted]
    left_open = [lesson.title for lesson in open_lessons if lesson.key not in placed]
    if left_open:
        rows.append(f"Still open: {', '.join(left_open[:4])}{' …' if len(left_open) > 4 else ''}.")
    if following:
        rows.append(f"Next: {following}.")
    return rows
