"""All lessons, read from their folder: a broken file is a problem told, and the others still work.

lessons/<number>-<chapter>/<anything>.md    a lesson
lessons/glossary.md                         terms, a `## term` each; lessons link to glossary.md#term
lessons/chapters.yaml                       the chapters' titles, in order
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tutor.course.model import Lesson, Problem
from tutor.course.reading import Problems, read_lesson


def default_folder() -> Path:
    """Return the folder of the lessons that are installed with the program."""
    return Path(__file__).resolve().parent.parent.parent / "lessons"


@dataclass(slots=True)
class Catalogue:
    """The course as it was read."""

    folder: Path
    lessons: list[Lesson] = field(default_factory=list)
    chapters: dict[int, str] = field(default_factory=dict)
    glossary: dict[str, str] = field(default_factory=dict)  # term → meaning, Markdown
    problems: list[Problem] = field(default_factory=list)

    def find(self, name: str) -> Lesson:
        """Return a lesson by id or by file. Raises LookupError with what is near."""
        import difflib

        for lesson in self.lessons:
            if name in (lesson.id, lesson.path, Path(lesson.path).name):
                return lesson
        near = difflib.get_close_matches(name, [lesson.id for lesson in self.lessons], 3, 0.5)
        raise LookupError(f"there is no lesson {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))

    def after(self, lesson: Lesson) -> Lesson | None:
        """Return the lesson that follows."""
        place = self.lessons.index(lesson) + 1
        return self.lessons[place] if place < len(self.lessons) else None

    def with_command(self, command: str) -> list[Lesson]:
        """Return the lessons that teach a command."""
        return [lesson for lesson in self.lessons if command.upper() in map(str.upper, lesson.front.commands)]

    def with_scenario(self, scenario: str) -> list[Lesson]:
        """Return the lessons that a scenario of the laboratory stages."""
        return [
            lesson
            for lesson in self.lessons
            if any(scene.scenario == scenario for step in lesson.steps for scene in step.scenes)
        ]


def anchor(heading: str) -> str:
    """Return the fragment that Git hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def read_course(folder: Path | None = None) -> Catalogue:
    """Read all lessons. Never raises for what is in a file: see `problems`."""
    course = Catalogue(folder or default_folder())
    base = course.folder.parent
    _chapters(course)
    _glossary(course)
    for path in sorted(course.folder.glob("*/*.md")):
        shown = str(path.relative_to(base))
        try:
            course.lessons.append(read_lesson(path, shown))
        except Problems as error:
            course.problems += error.problems
    course.lessons.sort(key=lambda lesson: (lesson.front.chapter, lesson.front.order, lesson.id))
    _consistency(course)
    return course


def _chapters(course: Catalogue) -> None:
    path = course.folder / "chapters.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        course.chapters = {int(number): str(title) for number, title in data.items()}
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        course.problems.append(Problem("lessons/chapters.yaml", 1, f"expected `number: title` lines ({error})"))


def _glossary(course: Catalogue) -> None:
    path = course.folder / "glossary.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        course.problems.append(Problem("lessons/glossary.md", 1, f"cannot be read: {error.strerror}"))
        return
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    for term, meaning in zip(parts[1::2], parts[2::2], strict=True):
        course.glossary[term.strip()] = meaning.strip()


def _consistency(course: Catalogue) -> None:
    """Look at what lies between files: ids, needs, chapters, links."""
    seen: dict[str, Lesson] = {}
    ids = {lesson.id for lesson in course.lessons}
    anchors = {anchor(term) for term in course.glossary}

    def wrong(lesson: Lesson, line: int, text: str) -> None:
        course.problems.append(Problem(lesson.path, line, text))

    for lesson in course.lessons:
        if lesson.id in seen:
            wrong(lesson, lesson.lines.get("id", 1), f"the id {lesson.id!r} is {seen[lesson.id].path}'s already")
        seen.setdefault(lesson.id, lesson)
        for need in lesson.front.needs:
            if need not in ids:
                wrong(lesson, lesson.lines.get("needs", 1), f"needs {need!r}, which is no lesson")
        if lesson.front.chapter not in course.chapters:
            wrong(lesson, lesson.lines.get("chapter", 1), f"there is no chapter {lesson.front.chapter}")
        for link in lesson.links:
            target, _, fragment = link.target.partition("#")
            if re.match(r"[a-z]+:", target) or not target:
                continue
            path = (course.folder.parent / lesson.path).parent / target
            if not path.exists():
                wrong(lesson, link.line, f"the link to {target} leads nowhere")
            elif path.name == "glossary.md" and fragment and fragment not in anchors:
                wrong(lesson, link.line, f"the glossary has no term {fragment!r}")
