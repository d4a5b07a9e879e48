"""A teacher's own lessons and scenarios: templates, replies that are filled in, courses in zip files and Git."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.share import EVERYTHING
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson.model import Problem
from tutor.templates import KINDS
from tutor.verify import prove_scenario
from tutor.watching import marked


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def environment(here: Path) -> dict[str, str]:
    return {**os.environ, "REDIS_TUTOR_HOME": str(here.parent / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}


def tutor(here: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tutor", *arguments],
        capture_output=True,
        text=True,
        cwd=here,
        env=environment(here),
        timeout=PATIENCE_S,
    )


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_template_works_as_it_is(here: Path, kind: str) -> None:
    done = tutor(here, "new", kind, "01-my-own")
    (path,) = here.iterdir()
    assert done.returncode == 0 and done.stdout.startswith(f"{path.name} is a whole")
    assert "id: my-own\n" in path.read_text() and "My own" in path.read_text()
    assert "NAME" not in path.read_text() and "TITLE" not in path.read_text()
    checked = tutor(here, "verify", path.name)
    assert checked.returncode == 0 and "all hold" in checked.stdout, checked.stdout
    again = tutor(here, "new", kind, path.name)
    assert again.returncode == 1 and "already exists" in again.stderr


@pytest.mark.parametrize(
    "name, problem",
    [
        ("Bad Name", "is not a name"),
        ("no/such/folder", "No such file"),
        ("x.pdf", "is not a name"),
        ("", "is not a name"),
    ],
)
def test_names_that_a_lesson_cannot_have(here: Path, name: str, problem: str) -> None:
    done = tutor(here, "new", "lesson", name)
    assert done.returncode == 1 and problem in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.long
def test_replies_are_filled_in(here: Path) -> None:
    for kind in ("lesson", "two-servers"):
        tutor(here, "new", kind, kind)
        path = here / f"{kind}.md"
        whole = path.read_text()
        text = re.sub(r"^(.*(?:SET color green|REPLICAOF).*\n)OK\n", r"\1", whole, flags=re.MULTILINE)
        text = text if kind == "lesson" else text.replace("SET color green\n", "SET color green\nOK\n")  # setup
        text = re.sub(r'^1\) "slave"\n(?:\d\) .*\n)+', "", text, flags=re.MULTILINE)
        path.write_text(text.replace('\n"green"\n', '\n"red"\n'))
        done = tutor(here, "verify", "--write", path.name)
        assert done.returncode == 0 and "filled in" in done.stdout, done.stdout
        assert re.sub(r"<<number:\d+>>", "<<number:42>>", path.read_text()) == whole
        assert "filled in" not in tutor(here, "verify", "--write", path.name).stdout


def test_what_differs_between_two_runs_becomes_a_marker() -> None:
    assert marked("5) (integer) 658", "5) (integer) 28") == "5) (integer) <<number:658>>"
    assert marked("run_id:ab12 x", "run_id:cd34 x") == "run_id:<<text:ab12>> x"
    assert marked("one\ntwo", "one\ntwo\nthree") == "one\ntwo", "a person has to look at that"
    assert marked("same 1", "same 1") == "same 1"


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.long
def test_files_are_checked_whenever_they_are_saved(here: Path) -> None:
    tutor(here, "new", "scenario", "watched")
    path, output = here / "watched.yaml", here.parent / "output"
    with open(output, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tutor", "verify", "--watch", "watched.yaml"],
            cwd=here,
            env=environment(here),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "all hold" in output.read_text(), "it is checked")
        path.write_text(path.read_text().replace("color: green", "color: blue"))
        wait_until(lambda: "1 problem" in output.read_text(), "it is checked again")
        assert "color" in output.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ("until: 5", "steps #2.until: Expected `object`, got `int`; write fields: `name: value`"),
        ("until: {A: {link: 5}}", "steps #2.until.A.link: Expected `str | null`, got `int`; put it in quotes"),
        ("run: fast", "steps #2.run: Expected `float`, got `str`; write a number"),
        ("runs: 5", "steps #2: unknown field `runs`"),
    ],
)
def test_a_mistake_in_a_scenario_names_step_field_and_cure(here: Path, wrong: str, told: str) -> None:
    path = here / "x.yaml"
    path.write_text(
        'id: x\ntitle: "X"\nsummary: "x"\nnodes:\n  A: {address: "172.16.6.18:6379"}\n'
        f'steps:\n  - say: "one"\n  - say: "two"\n    {wrong}\n'
    )
    assert (
        prove_scenario(path) == [Problem(str(path), 9, told)] or str(prove_scenario(path)[0]) == f"{path}:9: {told}"
    )


@pytest.fixture
def course(here: Path) -> Path:
    """A course with a lesson and a scenario."""
    (here / "scenarios").mkdir()
    tutor(here, "new", "lesson", "on-foxes")
    tutor(here, "new", "scenario", "scenarios/foxes-gone")
    return here


def test_a_course_in_a_zip_file(course: Path) -> None:
    zipped = course.parent / "course.zip"
    with zipfile.ZipFile(zipped, "w") as file:
        for path in course.rglob("*"):
            file.write(path, Path("a-folder") / path.relative_to(course))
    for _ in range(2):  # the second time it is there already
        assert "on-foxes" in tutor(course, "--course", str(zipped), "list").stdout
    assert "foxes-gone" in tutor(course, "--course", str(zipped), "lab", "--list").stdout
    assert "Foxes gone" in tutor(course, "--course", str(zipped), "lab", "foxes-gone", "--play").stdout


def test_a_zip_file_leads_nowhere_else(course: Path) -> None:
    zipped = course.parent / "evil.zip"
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("../../../escaped.md", "x")
        file.writestr("/tmp/escaped-absolutely.md", "x")
    tutor(course, "--course", str(zipped), "list")
    found = [path for path in course.parent.rglob("escaped*.md") if "courses" not in path.parts]
    assert found == [] and not Path("/tmp/escaped-absolutely.md").exists()


def test_a_course_in_a_git_repository_follows_it(course: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=course, check=True, capture_output=True, timeout=PATIENCE_S)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "A course")
    url = course.as_uri()
    assert "on-foxes" in tutor(course, "--course", url, "list").stdout
    tutor(course, "new", "lesson", "on-hares")
    git("add", "-A")
    git("commit", "-qm", "Another lesson")
    assert "on-hares" in tutor(course, "--course", url, "list").stdout
    course.rename(course.with_name("moved"))
    course.mkdir()
    offline = tutor(course, "--course", url, "list")
    assert "on-hares" in offline.stdout and "is used as it was last time" in offline.stderr


@pytest.mark.parametrize(
    "where, problem",
    [
        ("nothing-here", "neither a folder nor a zip file"),
        ("--upload-pack=x", "neither a folder nor a zip file"),
        ("ext::sh -c x", "neither a folder nor a zip file"),
        ("file:///nothing/here", "cannot be fetched"),
        ("plain.zip", "is not a zip file"),
    ],
)
def test_a_course_that_is_not_there(here: Path, where: str, problem: str) -> None:
    (here / "plain.zip").write_text("text")
    done = tutor(here, f"--course={where}", "list")
    assert done.returncode == 2 and problem in done.stderr


def test_lessons_from_elsewhere_run_no_python(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutor.lesson.own_course import course_folder
    from tutor.lesson.python_process import OFF

    monkeypatch.setenv("REDIS_TUTOR_HOME", str(course.parent / "home"))
    monkeypatch.setenv(OFF, "")  # noted, to be taken back at the end
    monkeypatch.delenv(OFF)
    course_folder(str(course))
    assert OFF not in os.environ, "a folder on this machine is trusted"
    with zipfile.ZipFile(course.parent / "c.zip", "w") as file:
        file.writestr("x.md", "x")
    course_folder(str(course.parent / "c.zip"))
    assert os.environ[OFF] == "1"
    monkeypatch.setenv(OFF, "")
    course_folder(str(course.parent / "c.zip"))
    assert os.environ[OFF] == ""
