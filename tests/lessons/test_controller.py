"""Every lesson through its controller alone: without a screen, and without the libraries for one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.share import EVERYTHING, share
from tests.waiting import PATIENCE_S
from tutor.lesson.catalogue import installed_course

pytestmark = pytest.mark.long

COURSE = installed_course()
CHAPTERS = sorted({lesson.front.chapter for lesson in COURSE.lessons})


@pytest.mark.parametrize("chapter", share(CHAPTERS, 3))
def test_lessons_are_played_without_a_screen(chapter: int, tmp_path: Path) -> None:
    lessons = [lesson for lesson in COURSE.lessons if lesson.front.chapter == chapter]
    lessons = lessons if EVERYTHING else lessons[chapter % 3 :: 12]
    command = [sys.executable, "-m", "tests.lessons.playing", str(tmp_path), *(lesson.id for lesson in lessons)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
        env=os.environ | {"REDIS_TUTOR_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    *played, imported = done.stdout.splitlines()
    assert played == [f"{lesson.id}: {len(lesson.steps)} of {len(lesson.steps)} steps" for lesson in lessons]
    assert imported == "imported:"
