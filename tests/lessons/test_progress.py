"""The progress file: shared by several tutors, replaced as a whole, and never lost."""

import errno
import json
import os
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_S
from tutor.lesson import progress as module
from tutor.lesson.progress import Progress, ProgressFile, Taken

WRITER = """
import sys
from pathlib import Path
from tutor.lesson.progress import Progress, Taken
from tests.waiting import PATIENCE_S

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
progress = Progress(path)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    def add(kept):
        kept.lessons.setdefault("shared", Taken()).tasks.append(f"{name}/{number}")
        kept.lessons.setdefault(name, Taken()).steps.append(number)
    progress.change(add)
sys.exit(progress.notice or 0)
"""


def done(lesson):
    """Return the change that finishes a lesson."""
    return lambda kept: kept.lessons.__setitem__(lesson, Taken(done=True))


def test_tutors_at_the_same_time_keep_each_others_work(tmp_path):
    path, count = tmp_path / "progress.json", 25
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(count)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=PATIENCE_S)
        assert writer.returncode == 0
    kept = Progress(path).kept
    for name in ("one", "two", "three"):
        assert kept.lessons[name].steps == list(range(count))
    assert len(set(kept.lessons["shared"].tasks)) == 3 * count
    assert os.listdir(tmp_path) == ["progress.json"]


def test_a_tutor_that_was_open_before_loses_nothing(tmp_path):
    path = tmp_path / "progress.json"
    first, second = Progress(path), Progress(path)
    first.change(done("strings"))
    second.change(done("lists"))
    first.change(done("sets"))
    assert set(Progress(path).kept.lessons) == {"strings", "lists", "sets"}
    second.forget("strings")
    first.change(done("hashes"))
    assert set(Progress(path).kept.lessons) == {"lists", "sets", "hashes"}
    first.forget()
    assert Progress(path).kept == ProgressFile()


DAMAGED = {
    "empty": b"",
    "cut": b'{"version": 1, "lessons": {"a"',
    "a list": b"[]",
    "nested": b'{"version": 1, "lessons": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested beside": b'{"x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b', "version": 1}',
    "no version": b"{}",
    "a version that is text": b'{"version": "1"}',
    "version 0": b'{"version": 0}',
    "a version beyond all numbers": b'{"version": ' + b"9" * 5000 + b"}",
    "lessons as a number": b'{"version": 1, "lessons": 3}',
    "a step below 0": b'{"version": 1, "lessons": {"a": {"step": -1}}}',
    "not UTF-8": b'{"version": 1, "last": "\xff"}',
    "UTF-16": '{"version": 1}'.encode("utf-16"),
    "NUL": b"\0" * 100,
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside(tmp_path, damage):
    path = tmp_path / "progress.json"
    path.write_bytes(damage)
    (tmp_path / "progress.damaged-1.json").write_bytes(b"an older one")
    progress = Progress(path)
    assert progress.kept == ProgressFile()
    assert progress.notice.startswith(f"{path} was damaged (")
    assert "It is now progress.damaged-2.json" in progress.notice and "\n" not in progress.notice
    assert (tmp_path / "progress.damaged-2.json").read_bytes() == damage
    assert (tmp_path / "progress.damaged-1.json").read_bytes() == b"an older one"
    progress.change(done("strings"))
    again = Progress(path)
    assert (again.notice, list(again.kept.lessons)) == ("", ["strings"])


def test_a_huge_file_is_set_aside_unread(tmp_path):
    path = tmp_path / "progress.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    progress = Progress(path)
    assert "1,099,511,627,776 bytes, and the limit is" in progress.notice
    assert (tmp_path / "progress.damaged-1.json").stat().st_size == 1 << 40


def test_a_file_damaged_meanwhile_costs_nothing(tmp_path):
    path = tmp_path / "progress.json"
    progress = Progress(path)
    progress.change(done("strings"))
    path.write_bytes(b"{")
    progress.change(done("lists"))
    assert "progress.damaged-1.json" in progress.notice
    assert set(Progress(path).kept.lessons) == {"strings", "lists"}


@pytest.mark.parametrize(
    "content, lessons",
    [
        ({"version": 2, "lessons": {"strings": {"done": True, "stars": 3}}, "new": [[1]]}, ["strings"]),
        ({"version": 99, "lessons": ["strings"]}, []),
    ],
)
def test_a_newer_file_is_opened_read_only(tmp_path, content, lessons):
    path = tmp_path / "progress.json"
    path.write_text(json.dumps(content))
    progress = Progress(path)
    assert progress.read_only and list(progress.kept.lessons) == lessons
    assert f"written by a newer redis-tutor (format {content['version']}" in progress.take_notice()
    progress.change(done("lists"))
    progress.forget()
    assert progress.notice == ""  # it has been said
    assert json.loads(path.read_text()) == content
    assert os.listdir(tmp_path) == ["progress.json"]


def test_a_file_that_became_newer_is_left_alone(tmp_path):
    path = tmp_path / "progress.json"
    progress = Progress(path)
    progress.change(done("strings"))
    path.write_text('{"version": 2}')
    progress.change(done("lists"))
    assert "newer" in progress.notice
    assert path.read_text() == '{"version": 2}'


def test_what_is_not_a_readable_file_is_left_alone(tmp_path):
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (folder, pipe):
        progress = Progress(path)
        assert progress.notice.startswith(f"{path} cannot be read (")
        progress.change(done("strings"))
        assert progress.of("strings").done
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_a_full_disk_keeps_the_old_file_and_later_gets_all(tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    progress = Progress(path)
    progress.change(done("strings"))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    progress.change(done("lists"))
    assert progress.take_notice() == f"Progress cannot be saved in {tmp_path}: No space left on device."
    progress.change(done("sets"))
    assert progress.take_notice() == ""
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["progress.json"]
    monkeypatch.undo()
    Progress(path).change(done("hashes"))
    progress.change(done("keys"))
    assert set(Progress(path).kept.lessons) == {"strings", "lists", "sets", "hashes", "keys"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_harms_nothing(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "progress.json").write_bytes(b"{")
    home.chmod(0o500)
    try:
        for path in (home / "progress.json", home / "deep" / "progress.json"):
            progress = Progress(path)
            progress.change(done("strings"))
            assert "\n" not in progress.notice and progress.notice.endswith((".", ")"))
            assert progress.of("strings").done
        assert (home / "progress.json").read_bytes() == b"{"
    finally:
        home.chmod(0o700)


def test_a_folder_that_cannot_be_made_harms_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    progress = Progress(tmp_path / "file" / "progress.json")
    progress.change(done("strings"))
    assert progress.notice == f"Progress cannot be saved in {tmp_path}/file: File exists."


def test_a_folder_that_vanishes_is_made_again(tmp_path):
    path = tmp_path / "home" / "progress.json"
    progress = Progress(path)
    progress.change(done("strings"))
    path.unlink()
    path.parent.rmdir()
    progress.change(done("lists"))
    assert progress.notice == ""
    assert set(Progress(path).kept.lessons) == {"strings", "lists"}


def test_a_link_to_the_file_stays_a_link(tmp_path):
    (tmp_path / "kept").mkdir()
    link = tmp_path / "progress.json"
    link.symlink_to(tmp_path / "kept" / "progress.json")
    Progress(link).change(done("strings"))
    assert link.is_symlink() and list(Progress(link).kept.lessons) == ["strings"]


def test_a_tutor_that_stopped_with_the_lock_does_not_stop_the_others(tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    progress, other = Progress(path), Progress(path)
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.0)
    with other._lock():
        progress.change(done("strings"))
    assert list(Progress(path).kept.lessons) == ["strings"]
