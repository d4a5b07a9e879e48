"""A front end without a screen: it plays a lesson through its controller, as a learner does who is shown everything.

    python -m tests.lessons.playing FOLDER LESSON …     plays lessons, with progress in the folder

A line for each lesson says how many steps were done; the last names what was imported that draws.
"""

import asyncio
import sys
from pathlib import Path

from tutor.lesson import messages as m
from tutor.lesson.catalogue import installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.progress import Progress
from tutor.lesson.view import ExampleView, StepView


class Player:
    """A learner's window: what the controller tells, and what is done about it."""

    def __init__(self, controller: LessonController) -> None:
        self.controller = controller
        self.step: StepView | None = None
        self.busy: dict[str, bool] = {}
        self.asked: m.PredictionAsked | None = None
        self.finished = False
        self.errors: list[str] = []
        self.typing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def post(self, news: m.News) -> None:
        """Take news, from any thread."""
        self._loop.call_soon_threadsafe(self._take, news)

    def _take(self, news: m.News) -> None:
        match news:
            case m.StepShown(step):
                self.step = step
            case m.PromptShown(terminal, _, busy):
                self.busy[terminal] = busy
            case m.PredictionAsked(_, question):
                self.asked = news if question is not None else None
            case m.TypeIn(terminal, lines, typed_for):
                for line in lines:
                    task = self._loop.create_task(self.controller.submit(terminal, line, typed_for))
                    self.typing.add(task)
                    task.add_done_callback(self.typing.discard)
            case m.Finished():
                self.finished = True
            case m.Notice(text, severity) if severity == "error":
                self.errors.append(text)

    async def play(self) -> int:
        """Play the lesson to its end; returns the number of the last step."""
        await self.controller.open(self.post)
        while not self.finished:
            await self.controller.settled()
            await asyncio.sleep(0)  # for the news of it
            assert self.step is not None
            if self.asked is not None and (question := self.asked.question) is not None:
                terminal, self.asked = self.asked.terminal, None
                await self.controller.answer(terminal, question, question.choices[0] if question.choices else "1")
            elif isinstance(to_run := self.step.next_run, ExampleView):
                await self.controller.run_example(to_run)
            elif to_run is not None:
                await self.controller.act("predict")
            elif self.step.open_task is not None:
                await self.controller.act("show")
            else:
                await self.controller.act("next")
            assert not self.errors, self.errors
        assert self.step is not None
        return self.step.number


async def play(names: list[str], folder: Path) -> None:
    """Play lessons one after the other."""
    course = installed_course()
    for name in names:
        lesson = course.find(name)
        progress = Progress(folder / "progress.json")
        controller = LessonController(lesson, course, progress)
        try:
            steps = await Player(controller).play()
        finally:
            await controller.close()
        taken = progress.of(lesson.key)
        assert taken is not None and taken.done
        assert {f"{at}/{task.id}" for at, step in enumerate(lesson.steps) for task in step.tasks} == set(taken.tasks)
        print(f"{name}: {steps} of {len(lesson.steps)} steps", flush=True)


if __name__ == "__main__":
    asyncio.run(play(sys.argv[2:], Path(sys.argv[1])))
    print("imported:", *sorted({name.split(".")[0] for name in sys.modules} & {"textual", "rich"}))
