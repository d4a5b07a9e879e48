"""The process of a lesson's server or world is killed, in every chapter, and the lesson goes on with its data."""

import os
import signal

import pytest

from tests.lessons.conversing import converse
from tests.waiting import wait_until
from tutor.lesson.catalogue import installed_course

COURSE = installed_course()


def in_every_chapter():
    """Yield a lesson with one server of each chapter, and one with machines, where there are."""
    for chapter in COURSE.chapters:
        lessons = [lesson for lesson in COURSE.lessons if lesson.front.chapter == chapter]
        for machines in (False, True):
            found = next((lesson for lesson in lessons if lesson.on_machines is machines), None)
            if found is not None:
                yield pytest.param(found, id=f"{chapter}-{found.id}")


def data(controller):
    """Return the keys of every server that runs."""
    names = controller.lesson.front.servers if controller.machines is not None else [""]
    inspect = controller._session.server.inspect
    running = [name for name in names if controller.machines is None or controller.machines.find(name).running]
    return [
        (name, sorted(map(str, keys)))
        for name in running
        if isinstance(keys := inspect([b"KEYS", b"*"], 0, name), list)
    ]


@pytest.mark.parametrize("lesson", list(in_every_chapter()))
def test_a_lesson_goes_on_after_kill_9(lesson):
    def kill(controller):
        process = controller.machines.world if controller.machines is not None else controller.server
        before, state, pid = data(controller), controller._session.state, process.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: process.pid != pid, "the next process")
        assert data(controller) == before
        assert controller._session.state == state
        return ":show"

    text = converse(lesson, ":show", kill, ":next", ":show", ":quit", left=True)
    assert text.count("It was restarted with the same data.") == 1
    assert "Traceback" not in text and "Could not connect" not in text.partition("It was restarted")[2]
    assert "Step 2 of" in text
