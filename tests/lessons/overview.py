"""The table of all lessons in lessons/README.md: `python -m tests.lessons.overview` writes it anew."""

import re
from pathlib import Path

from tutor.lesson.catalogue import Catalogue, default_folder, installed_course

HEADING = "## All lessons\n\n"
README = Path(default_folder()) / "README.md"


def table(course: Catalogue) -> str:
    """Return the table, a row for each lesson in the order of the course."""
    rows = ["| chapter | lesson | minutes | commands | wrong idea |", "|---|---|---|---|---|"]
    for lesson in sorted(course.lessons, key=lambda lesson: (lesson.front.chapter, lesson.front.order)):
        front = lesson.front
        link = f"[{lesson.title}]({lesson.path.removeprefix('lessons/')})"
        commands = ", ".join(f"`{command}`" for command in front.commands)
        cells = [f"{front.chapter} {course.chapters[front.chapter]}", link, str(front.minutes), commands]
        rows.append("| " + " | ".join([*cells, front.wrong_idea.replace("|", "\\|")]) + " |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    """Return the table that stands in the README."""
    found = re.search(re.escape(HEADING) + r"[^|]*\n\n((?:\|.*\n)+)", text)
    return found[1] if found else ""


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(written(text), table(installed_course())), encoding="utf-8")
