"""All lessons, read from their folder: a broken file is a problem told, and the others still work.

lessons/<number>-<chapter>/<anything>.md    a lesson
lessons/glossary.md                         terms, a `## term` each; lessons link to glossary.md#term
lessons/chapters.yaml                       the chapters' titles, in order
"""

import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tutor.lesson.model import Lesson, Problem
from tutor.lesson.reading import Problems, read_lesson
from tutor.lesson.sources import Document, UnreadableSource, near, read_text, short
from tutor.prompt.words import WORD, shorten

if TYPE_CHECKING:
    from tutor.lesson.progress import Taken


COURSE = "REDIS_TUTOR_COURSE"  # names a folder with lessons of one's own, beside those that are installed


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
        near = difflib.get_close_matches(name[:WORD], [lesson.id for lesson in self.lessons], 3, 0.5)
        raise LookupError(
            f"there is no lesson {shorten(name)!r}" + (f"; did you mean {', '.join(near)}?" if near else "")
        )

    def open(self, name: str) -> Lesson:
        """Return the lesson in the file of this name, or the lesson of the course. Raises LookupError, Problems."""
        if not os.path.isfile(name):
            return self.find(name)
        file = os.path.realpath(name)
        for lesson in self.lessons:
            if os.path.realpath(self.folder.parent / lesson.path) == file:
                return lesson
        return replace(read_lesson(Path(name), name), own_file=file)

    def file_of(self, path: str) -> str:
        """Return the absolute path of a lesson's file, or of a problem's, as it is shown."""
        return os.path.realpath(self.folder.parent / path)

    def after(self, lesson: Lesson) -> Lesson | None:
        """Return the next lesson, or None for a lesson that is not part of the course."""
        keys = [each.key for each in self.lessons]
        if lesson.key not in keys:
            return None
        place = keys.index(lesson.key) + 1
        return self.lessons[place] if place < len(self.lessons) else None

    def chapter_end(
        self, lesson: Lesson, taken: "Callable[[str], Taken | None]", placed: Collection[str] = ()
    ) -> list[str]:
        """Return what to say about the chapter, or the whole course, that ends with a lesson."""
        from tutor.lesson.summary import chapter_told

        after, chapter = self.after(lesson), lesson.front.chapter
        if all(lesson.key != each.key for each in self.lessons) or (
            after is not None and after.front.chapter == chapter
        ):
            return []
        title = self.chapters.get(chapter, "")
        lessons = [each for each in self.lessons if each.front.chapter == chapter]
        following = f"“{self.chapters.get(after.front.chapter, '')}”, with {after.title}" if after is not None else ""
        rows = chapter_told(title, lessons, [taken(each.key) for each in lessons], following, placed=placed)
        if after is None:
            every = [taken(each.key) for each in self.lessons]
            rows += chapter_told("", self.lessons, every, "", is_course=True, placed=placed)
        return rows

    def with_command(self, command: str) -> list[Lesson]:
        """Return the lessons that teach a command."""
        return [lesson for lesson in self.lessons if command.upper() in map(str.upper, lesson.front.commands)]

    def with_term(self, term: str) -> list[Lesson]:
        """Return the lessons on a term of the glossary: with it in a title first, then those that link to it."""
        fragment, word = f"glossary.md#{anchor(term)}", re.compile(rf"\b{re.escape(term)}(?:s|es)?\b")

        def rank(lesson: Lesson) -> int:
            titles = (lesson.title.lower(), " ".join(step.title.lower() for step in lesson.steps))
            named = next((at for at, title in enumerate(titles) if word.search(title)), 2)
            return named if named < 2 or any(link.target.endswith(fragment) for link in lesson.links) else 3

        return sorted((each for each in self.lessons if rank(each) < 3), key=rank)

    def with_scenario(self, scenario: str) -> list[Lesson]:
        """Return the lessons that a scenario of the laboratory belongs to."""
        return [
            lesson
            for lesson in self.lessons
            if any(scene.scenario == scenario for step in lesson.steps for scene in step.scenes)
        ]


def anchor(heading: str) -> str:
    """Return the fragment that Git hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@functools.cache
def installed_course() -> Catalogue:
    """Return the course that is installed with the program, read when first asked for, with a folder of one's own."""
    course = read_course(default_folder())
    if folder := os.environ.get(COURSE):
        add_folder(course, Path(folder))
    return course


def add_folder(course: Catalogue, folder: Path) -> None:
    """Add the lessons of a folder to a course. Never raises for what is in a file: see `problems`.

    Every Markdown file in it is a lesson, except for README.md and glossary.md, which adds terms. A chapters.yaml
    adds chapters; without it, the lessons belong to chapters of the course.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        course.problems.append(Problem(str(folder), 1, "there is no such folder"))
        return
    own = Catalogue(folder)
    if (folder / "chapters.yaml").exists():
        _chapters(own, str(folder / "chapters.yaml"))
    for number, title in own.chapters.items():
        if course.chapters.setdefault(number, title) != title:
            text = f"chapter {number} is {course.chapters[number]!r} in the course: choose another number"
            own.problems.append(Problem(str(folder / "chapters.yaml"), 1, text))
    if (folder / "glossary.md").exists():
        _glossary(own)
        course.glossary = own.glossary | course.glossary
    for path in lesson_files(folder):
        try:
            lesson = read_lesson(path, str(path))
        except Problems as error:
            own.problems += error.problems
            continue
        twin = next((each for each in (*course.lessons, *own.lessons) if each.id == lesson.id), None)
        if twin is None:
            own.lessons.append(lesson)
        else:
            text = f"the id {lesson.id!r} is already used by {twin.path}"
            own.problems.append(Problem(lesson.path, lesson.lines.get("id", 1), text))
    whole = replace(course, lessons=[*course.lessons, *own.lessons])
    course.problems += own.problems + consistency(whole, own.lessons)
    course.lessons = sorted(whole.lessons, key=lambda each: (each.front.chapter, each.front.order, each.id))


def read_course(folder: Path) -> Catalogue:
    """Read all lessons of a folder. Never raises for what is in a file: see `problems`."""
    course = Catalogue(folder)
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
    course.problems += consistency(course, course.lessons)
    return course


def lesson_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are lessons."""
    return [path for path in sorted(folder.rglob("*.md")) if path.name.lower() not in ("readme.md", "glossary.md")]


def _chapters(course: Catalogue, shown: str = "lessons/chapters.yaml") -> None:
    found: list[Problem] = []
    try:
        text = read_text(course.folder / "chapters.yaml")
        data = Document(text, 1, lambda line, reason: found.append(Problem(shown, line, reason))).data
        course.chapters = {int(number): str(title) for number, title in (data or {}).items()}
    except UnreadableSource as problem:
        found.append(Problem(shown, problem.line, str(problem)))
    except ValueError as error:
        found.append(Problem(shown, 1, f"expected `number: title` lines ({error})"))
    course.problems += found


def _glossary(course: Catalogue) -> None:
    try:
        text = read_text(course.folder / "glossary.md")
    except UnreadableSource as problem:
        course.problems.append(Problem("lessons/glossary.md", problem.line, str(problem)))
        return
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    for term, meaning in zip(parts[1::2], parts[2::2], strict=True):
        course.glossary[term.strip()] = meaning.strip()


def _headings(path: Path) -> set[str]:
    """Return the fragments of a Markdown file's headings, as Git hosts give them: the second of a name ends in -1."""
    try:
        text = read_text(path)
    except UnreadableSource:
        return set()
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        name = anchor(heading)
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def consistency(course: Catalogue, lessons: Sequence[Lesson]) -> list[Problem]:
    """Return the problems between files: ids, chapters, needs and links of these lessons within the course.

    A lesson may also be a file outside the course. Its links may then be relative to its folder, or to the folder of
    its chapter, into which it may be moved.
    """
    problems: list[Problem] = []
    ids = {lesson.id for lesson in [*course.lessons, *lessons]}
    headings: dict[Path, set[str]] = {}

    def wrong(lesson: Lesson, line: int, text: str) -> None:
        problems.append(Problem(lesson.path, line, text))

    for lesson in lessons:
        own, given = course.folder.parent / lesson.path, Path(lesson.path)
        file = (given if given.exists() and not own.exists() else own).resolve()
        inside = course.folder.resolve() in file.parents
        if inside:  # a file elsewhere may be a copy that is being worked on
            twin = next((each for each in course.lessons if each.id == lesson.id), lesson)
            if (course.folder.parent / twin.path).resolve() != file:
                wrong(lesson, lesson.lines.get("id", 1), f"the id {lesson.id!r} is already used by {twin.path}")
        for number, need in enumerate(lesson.front.needs):
            line = lesson.lines.get(f"needs.{number}", 1)
            if need not in ids:
                wrong(lesson, line, f"needs {short(need)!r}, which is not a lesson{near(need, ids)}")
            elif need == lesson.id:
                wrong(lesson, line, "needs itself: remove it")
        chapter = lesson.front.chapter
        if chapter not in course.chapters:
            known = f"; expected one of {', '.join(map(str, course.chapters))}" if course.chapters else ""
            wrong(lesson, lesson.lines.get("chapter", 1), f"chapter: there is no chapter {chapter}{known}")
        folders = [file.parent]
        if not inside:
            folders += sorted(course.folder.glob(f"{chapter if chapter in course.chapters else '[0-9]'}-*"))
        for link in lesson.links:
            target, _, fragment = link.target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            name = unquote(target) or file.name
            path = next((each / name for each in folders if (each / name).exists()), None)
            if path is None:
                hint = near(Path(name).name, _files(folders[-1] / Path(name).parent))
                wrong(lesson, link.line, f"the link to {short(target)} leads nowhere{hint}")
            elif fragment and path.suffix == ".md":
                if path not in headings:
                    headings[path] = _headings(path)
                if fragment not in headings[path]:
                    what = "the glossary has no term" if path.name == "glossary.md" else f"{path.name} has no heading"
                    wrong(lesson, link.line, f"{what} {short(fragment)!r}{near(fragment, headings[path])}")
    return problems


def _files(folder: Path) -> list[str]:
    """Return the names of what is in a folder."""
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
