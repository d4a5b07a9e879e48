"""Bookmarks: steps that the learner marked, kept with the progress.

A bookmark knows its step by number and title. When the text of a lesson has changed, the step with the same title is
meant; without one, the step with the same number.
"""

import json
import os
import sys

from tutor.lesson.catalogue import Catalogue, installed_course
from tutor.lesson.model import Lesson
from tutor.lesson.progress import Bookmark, Progress, ProgressFile, Taken
from tutor.lesson.view import BookmarkEntry
from tutor.prompt.words import shorten

OFF = ("off", "remove")  # in place of a note
NOTE = 120  # characters of a note that are kept
NONE = "You have no bookmarks. :bookmark in a lesson sets one."
NOT_KEPT = "Nothing is saved in this run, so a bookmark would be lost."


def step_of(lesson: Lesson, bookmark: Bookmark) -> int:
    """Return the index of the step that a bookmark means."""
    titles = [step.title for step in lesson.steps]
    at = min(bookmark.step, len(titles) - 1)
    return titles.index(bookmark.title) if bookmark.title in titles and titles[at] != bookmark.title else at


def _at(kept: ProgressFile, lesson: Lesson, step: int) -> Bookmark | None:
    own = (each for each in kept.bookmarks if each.lesson == lesson.key)
    return next((each for each in own if step_of(lesson, each) == step), None)


def is_set(progress: Progress, lesson: Lesson, step: int) -> bool:
    """Return whether a step (index) has a bookmark."""
    return _at(progress.kept, lesson, step) is not None


def add(progress: Progress, lesson: Lesson, step: int, note: str = "") -> str:
    """Bookmark a step (index), or give its bookmark another note; returns what to say."""
    text = _savable(shorten(" ".join(note.split()), NOTE))
    was_set = is_set(progress, lesson, step)

    def change(kept: ProgressFile) -> None:
        before = _at(kept, lesson, step)
        if before is not None:
            kept.bookmarks.remove(before)
        title = lesson.steps[step].title
        kept.bookmarks.append(
            Bookmark(
                lesson.key,
                step,
                title,
                text or (before.note if before is not None else ""),
                lesson.title,
                _savable(lesson.own_file),
            )
        )

    progress.change(change)
    if was_set:
        return (
            f"Step {step + 1} is already bookmarked{', now with this note' if text else ''}. :bookmarks removes it."
        )
    return f"Step {step + 1} is bookmarked. :bookmarks lists your bookmarks."


def take_off(progress: Progress, lesson: Lesson, step: int) -> str:
    """Remove the bookmark of a step (index); returns what to say."""
    found = _at(progress.kept, lesson, step)
    if found is None:
        return f"Step {step + 1} is not bookmarked."
    remove(progress, _key(found))
    return f"Step {step + 1} is no longer bookmarked."


def _savable(text: str) -> str:
    """Return a text as it can be written to a JSON file, where bytes that are not UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def remove(progress: Progress, key: str) -> None:
    """Remove the bookmark with this key, if it is still there."""

    def change(kept: ProgressFile) -> None:
        kept.bookmarks = [each for each in kept.bookmarks if _key(each) != key]

    progress.change(change)


def _key(bookmark: Bookmark) -> str:
    return f"{bookmark.lesson}/{bookmark.step}"


def entries(course: Catalogue, progress: Progress) -> list[BookmarkEntry]:
    """Return all bookmarks in the order of the course; those of the learner's own lessons come last."""
    places = {lesson.key: at for at, lesson in enumerate(course.lessons)}
    found = []
    for each in progress.kept.bookmarks:
        place = places.get(each.lesson, len(places))
        entry = _entry(each, course.lessons[place] if place < len(places) else None, progress.of(each.lesson))
        found.append(((place, entry.step, entry.lesson), entry))
    return [entry for _, entry in sorted(found, key=lambda each: each[0])]


def _entry(bookmark: Bookmark, lesson: Lesson | None, taken: Taken | None) -> BookmarkEntry:
    at = taken.step if taken is not None and not taken.done else 0
    if lesson is not None:
        step = step_of(lesson, bookmark)
        return BookmarkEntry(
            _key(bookmark), lesson.id, lesson.title, step, lesson.steps[step].title, bookmark.note, at
        )
    gone = not (bookmark.file and os.path.isfile(bookmark.file))
    name = bookmark.name or bookmark.lesson
    return BookmarkEntry(
        _key(bookmark), bookmark.file, name, bookmark.step, bookmark.title, bookmark.note, at, gone
    )  # fmt: skip


def described(number: int, entry: BookmarkEntry) -> str:
    """Return a bookmark as a line of a list."""
    note = f": {entry.note}" if entry.note else ""
    gone = "  (this lesson no longer exists)" if entry.is_gone else ""
    return f"{number:>3}. {entry.lesson}, step {entry.step + 1}, {entry.title}{note}{gone}"


def pick(found: list[BookmarkEntry], number: str) -> BookmarkEntry | str:
    """Return the bookmark with a number of the list, or what is wrong with the number."""
    if not found:
        return NONE
    if not (number.isdecimal() and 1 <= int(number) <= len(found)):
        return f"There is no bookmark {shorten(number)}. Type a number from 1 to {len(found)}."
    return found[int(number) - 1]


def print_bookmarks(as_json: bool = False) -> int:
    """Print all bookmarks. Returns the exit status."""
    progress = Progress()
    found = entries(installed_course(), progress)
    if as_json:
        rows = [
            {"number": number, "lesson": each.target, "title": each.lesson, "step": each.step + 1,
             "step_title": each.title, "note": each.note, "exists": not each.is_gone}
            for number, each in enumerate(found, 1)
        ]  # fmt: skip
        print(json.dumps(rows, indent=1))
    else:
        print("\n".join(described(number, each) for number, each in enumerate(found, 1)) or NONE)
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    return 0


def find(number: str, progress: Progress | None = None, exists: bool = True) -> BookmarkEntry | None:
    """Return the bookmark with a number of the list; None, and the reason is printed, if it leads nowhere."""
    entry = pick(entries(installed_course(), progress or Progress()), number)
    if isinstance(entry, str):
        print(f"redis-tutor: {entry}", file=sys.stderr)
        return None
    if exists and entry.is_gone:
        print(f"redis-tutor: the lesson {entry.lesson!r} no longer exists", file=sys.stderr)
        return None
    return entry


def remove_by_number(number: str) -> int:
    """Remove the bookmark with a number of the list. Returns the exit status."""
    progress = Progress()
    entry = find(number, progress, exists=False)
    if entry is None:
        return 1
    remove(progress, entry.key)
    if progress.notice:
        print(progress.notice, file=sys.stderr)
    return 0 if progress.saves else 1
