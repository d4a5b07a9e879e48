"""`redis-tutor class`: making, listing, serving and stopping classes, and what it prints."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutor.classroom.classes import ClassError, ClassFolder, ClassSettings, every_class
from tutor.classroom.store import AnyStore, StoreError, open_store
from tutor.lesson.catalogue import COURSE, installed_course
from tutor.lesson.own_course import NoCourse, course_folder

if TYPE_CHECKING:
    from tutor.classroom.grading import JournalRuns

STOP_SECONDS = 30.0


def new(name: str, url: str = "") -> int:
    """Make a class, or take part in one that another computer keeps in a store; returns the exit status."""
    try:
        if url:
            open_store(Path(), url, name).close()  # it is there, and its version will do
        folder = ClassFolder.create(name)
        if url:
            folder.keep_store(url)
    except (ClassError, StoreError) as error:
        return _fail(error)
    print(f"The class {name} is in {folder.path}. Its settings are in class.yaml there.")
    print(f"Begin with: redis-tutor class serve {name}")
    return 0


def print_classes() -> int:
    """List the classes; returns the exit status."""
    for folder in every_class():
        running = folder.running()
        where = f"served at {running['addresses'][0]}" if running.get("addresses") else "not served"
        try:
            store = store_of(folder, folder.settings())
            count = len(store.learners().result())
            store.close()
        except (StoreError, ClassError) as error:
            print(f"{folder.name}: {error}")
            continue
        print(f"{folder.name}: {count} {'learner' if count == 1 else 'learners'}, {where}")
    return 0


def stop(name: str) -> int:
    """End the hub of a class; returns the exit status."""
    try:
        folder = ClassFolder.find(name)
    except ClassError as error:
        return _fail(error)
    running = folder.running()
    if not running:
        return _fail(f"the class {folder.name} is not served")
    with contextlib.suppress(ProcessLookupError):
        os.kill(running["pid"], signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while folder.running():
        if time.monotonic() > until:
            return _fail(f"the hub (process {running['pid']}) does not end")
        time.sleep(0.05)
    print(f"The class {folder.name} has been stopped. Everything is saved.")
    return 0


def link(name: str) -> int:
    """Print a new link for the teacher; the earlier one and all open boards end. Returns the exit status."""
    from tutor.classroom.codes import new_token, token_digest
    from tutor.classroom.hub import TEACHER_HOURS

    try:
        folder = ClassFolder.find(name)
        addresses = folder.running().get("addresses")
        token = new_token()
        store = store_of(folder, folder.settings())
        store.revoke_all(["link", "teacher"]).result()
        if addresses:
            store.add_token(token_digest(token), "link", None, time.time() + TEACHER_HOURS * 3600).result()
        store.close()
    except (ClassError, StoreError) as error:
        return _fail(error)
    print("The earlier link and all open boards have ended.")
    if addresses:
        print(f"Teacher: {addresses[0]}/teacher#{token}")
    else:
        print(f"The class {folder.name} is not served. It prints a new link when it starts.")
    return 0


def serve(name: str, options: dict[str, Any]) -> int:
    """Serve a class until a signal; returns the exit status."""
    if options.get("course") and os.path.exists(options["course"]):
        options["course"] = os.path.abspath(options["course"])
    try:
        folder = ClassFolder.find(name)
        settings = folder.settings(**options)
        folder.lock()
    except ClassError as error:
        return _fail(error)
    try:
        use_course(folder, settings)
        for problem in installed_course().problems:
            print(problem, file=sys.stderr)  # the other lessons can be taken all the same
        store = store_of(folder, settings)
        for notice in getattr(store, "notices", []):
            print(f"redis-tutor: {notice}", file=sys.stderr)
        return asyncio.run(_serve(folder, settings, store))
    except (StoreError, ClassError) as error:
        return _fail(error)
    finally:
        with contextlib.suppress(OSError):
            folder.state.unlink()
        folder.unlock()


def use_course(folder: ClassFolder, settings: ClassSettings) -> None:
    """Add the class's own lessons to the course of this process and those that it starts. Raises ClassError."""
    if settings.course:
        beside = folder.path / Path(settings.course).expanduser()
        try:
            os.environ[COURSE] = str(course_folder(str(beside) if beside.exists() else settings.course))
        except NoCourse as problem:
            raise ClassError(f"course: {problem}") from problem


def store_of(folder: ClassFolder, settings: ClassSettings) -> AnyStore:
    """Open the store of a class. Raises StoreError."""
    return open_store(folder.store, settings.store, folder.name)


def migrate(name: str, to: str) -> int:
    """Move a class into another store, `sqlite` or an address, and use that from now on; returns the exit status."""
    try:
        folder = ClassFolder.find(name)
        url = "" if to == "sqlite" else to
        settings = folder.settings()
        if settings.store == url:
            return _fail(f"the class {folder.name} is kept there already")
        folder.lock()
        source = store_of(folder, settings)
        target = open_store(folder.store, url, folder.name)
        try:
            everything = source.everything().result()
            target.fill(everything).result()
            moved = target.everything().result()
            if (len(moved.learners), len(moved.records)) != (len(everything.learners), len(everything.records)):
                raise StoreError("not everything has arrived; the class stays where it is")
            folder.keep_store(url)
            source.clear().result()
        finally:
            source.close()
            target.close()
            folder.unlock()
    except (ClassError, StoreError) as error:
        return _fail(error)
    learners, records = len(everything.learners), len(everything.records)
    print(f"The class {folder.name} has been moved: {learners:,} learners, {records:,} records.")
    if url:
        print(f"To serve it from another computer as well: redis-tutor class new {folder.name} --store {url}")
    return 0


async def _serve(folder: ClassFolder, settings: ClassSettings, store: AnyStore) -> int:
    from tutor.classroom.hub import ClassRefusal, Hub
    from tutor.classroom.web import ClassServer

    try:
        hub = Hub(folder, settings, store)
    except ClassRefusal as error:
        store.close()
        return _fail(error)
    try:
        await hub.start()
    except StoreError as error:
        store.close()
        return _fail(error)
    server = ClassServer(hub)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    status = 0
    try:
        await server.start()
    except ssl.SSLError as error:
        status = _fail(f"{settings.cert} and {settings.key} cannot be used: {error.reason or error}")
    except OSError as error:
        where = f"{settings.bind}:{settings.port}"
        missing = error.filename or (settings.cert if settings.cert and error.errno in (2, 13) else "")
        status = _fail(f"{missing or f'the hub cannot listen on {where}'}: {os.strerror(error.errno or 0)}")
    else:
        folder.say_running(server.addresses())
        teacher = f"{server.addresses()[0]}/teacher#{await hub.link_token()}"
        print_welcome(folder.name, server.addresses()[0], server.join_url(), hub.join_code, teacher)
        print(f"Limits of learners' processes: {hub.limits}", flush=True)
        await ended.wait()
        print("Saving and closing the terminals of the class.", flush=True)
    await server.close()
    await hub.close()
    return status


def print_welcome(name: str, address: str, join_url: str, join_code: str, teacher: str) -> None:
    """Print how to join a class."""
    import segno

    from tutor.classroom.codes import grouped

    if sys.stdout.isatty():
        segno.make(join_url).terminal(compact=True)
    print(f"Class {name}")
    print(f"  Learners: {address}   code {grouped(join_code)}")
    print(f"  Teacher:  {teacher}")
    print(
        "The teacher's link is secret, and ends those of earlier starts. Ctrl-C ends the class; everything is saved."
    )
    sys.stdout.flush()


def forget(learner: str, name: str) -> int:
    """Remove a learner with everything that was recorded; returns the exit status."""
    try:
        folder = ClassFolder.find(name)
        folder.lock()  # while a hub runs, its board does this
        store = store_of(folder, folder.settings())
        found = [each for each in store.learners().result() if each.name == learner]
        for each in found:
            store.forget(each.id).result()
            folder.remove_home(each.id)
        store.close()
        folder.unlock()
    except (ClassError, StoreError) as error:
        return _fail(error)
    if not found:
        return _fail(f"the class {folder.name} has no learner {learner!r}")
    print(f"{learner} is removed, with everything that was recorded.")
    return 0


def grade_files(files: Sequence[str], form: str, points: int, hint_cost: int, deadline: str) -> int:
    """Grade journals in files; `form` is csv, json, or empty for text. Returns the exit status."""
    from tutor.classroom.grading import CannotGrade, Marking, read_journal, results

    try:
        ends = ClassSettings(deadline=deadline).ends
    except ClassError as error:
        return _fail(error)
    journals: list[tuple[str, JournalRuns]] = []
    problems = []
    paths = [Path(each) for each in files]
    for path, name in zip(paths, names_of(paths), strict=True):
        try:
            journals.append((name, read_journal(path.read_bytes())))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except CannotGrade as problem:
            problems.append(f"{path}: {problem}")
    rows, ungraded = results(journals, installed_course(), Marking(points, hint_cost, ends))
    print_results(rows, form)
    for problem_text in (*problems, *ungraded):
        print(f"redis-tutor: {problem_text}", file=sys.stderr)
    return 1 if problems or ungraded else 0


def export(name: str, form: str, folder: str) -> int:
    """Print the results of a class, or write its journals into a folder; returns the exit status."""
    from tutor.classroom.grading import Marking, results, runs_of, with_open

    try:
        found = ClassFolder.find(name)
        settings = found.settings()
        ends = settings.ends
        use_course(found, settings)
        if not settings.store and not found.store.exists():
            raise ClassError(f"the class {found.name} has no learners")
        store = store_of(found, settings)
        names = {each.id: each.name for each in store.learners().result()}
        bodies: dict[int, list[dict[str, Any]]] = {}
        for record in store.records().result():
            bodies.setdefault(record.learner, []).append(record.body)
        store.close()
    except (ClassError, StoreError) as error:
        return _fail(error)
    journals: list[tuple[str, JournalRuns]] = []
    for number, records in bodies.items():
        journals += [(names.get(number, str(number)), runs) for runs in runs_of(records).values()]
    if folder:
        return _write_journals(journals, Path(folder))
    marking = Marking(settings.points, settings.hint_cost, ends)
    course = installed_course()
    rows, problems = results(journals, course, marking)
    wanted = [each for each in course.lessons if each.id in settings.lessons]
    print_results(with_open(rows, names.values(), wanted, marking), form)
    for problem in problems:
        print(f"redis-tutor: {problem}", file=sys.stderr)
    return 0


def _write_journals(journals: "Sequence[tuple[str, JournalRuns]]", folder: Path) -> int:
    """Write journals, each in a file with the name of its learner and lesson, without passwords."""
    from tutor.lesson.journal import LessonJournal

    try:
        for name, runs in journals:
            place = folder / "".join(each if each.isalnum() or each in "-_ " else "_" for each in name)
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number, (header, rows) in enumerate(runs.runs, 1):
                lesson = str(header.get("lesson")) + (f".{number}" if len(runs.runs) > 1 else "")
                path = place / f"{lesson}.jsonl"
                path.write_text("".join(json.dumps(row) + "\n" for row in (header, *rows)), "utf-8")
                path.write_text(LessonJournal(lesson, place, reads_only=True).export(), "utf-8")
    except OSError as error:
        return _fail(f"{error.filename or folder}: {error.strerror}")
    print(f"The journals of {len({name for name, _ in journals})} learners are in {folder}.")
    return 0


def print_results(rows: list[dict[str, Any]], form: str) -> None:
    """Print results."""
    from tutor.classroom.export import export_csv, export_json
    from tutor.classroom.grading import COLUMNS, summary_lines

    match form:
        case "csv":
            sys.stdout.write(export_csv(rows, COLUMNS))
        case "json":
            sys.stdout.write(export_json(rows))
        case _:
            print("\n".join(summary_lines(rows)))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own, with as many of its folders as it takes to tell them apart."""
    names = [path.stem for path in paths]
    for depth in range(2, 12):
        counts = Counter(names)
        names = [
            "/".join([*path.with_suffix("").parts][-depth:]) if counts[name] > 1 else name
            for path, name in zip(paths, names, strict=True)
        ]
    return names


def _fail(problem: object) -> int:
    print(f"redis-tutor: {problem}", file=sys.stderr)
    return 1
