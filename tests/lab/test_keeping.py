"""What was done in the laboratory is kept: files, seeds with actions, journals; and what of them can be damaged."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.simulation.history import History, HistoryError
from tests.lab.share import share_of_scenarios
from tutor.lab import keeping, play
from tutor.lab.journal import SessionJournal, left_behind
from tutor.lab.keeping import CannotKeepError
from tutor.lab.loader import find, read_scenario
from tutor.lab.play import opened
from tutor.lab.recipe import read_recipe
from tutor.lab.session import LabSession


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path / "home"))
    return tmp_path


def played(name: str = "partial-resync") -> LabSession:
    session = LabSession(read_scenario(find(name)))
    while session.runner.next_step is not None:
        session.next_step()
    return session


def worked() -> LabSession:
    """A session with two branches, a note, and a place in the past."""
    session = played()
    session.history.goto(100)
    session.execute("app> SET k 'two words'")
    session.execute("wait 0.5")
    session.note("here it\nbranches")
    session.execute("cut A B silent")
    session.execute("wait 1")
    session.history.goto(120)
    return session


def same(one: LabSession, other: LabSession) -> None:
    """Compare everything that a screen shows of two sessions."""
    assert one.history.digest() == other.history.digest()
    assert (one.history.place, one.history.branch_name) == (other.history.place, other.history.branch_name)
    assert list(one.history.branches) == list(other.history.branches)
    assert one.spec == other.spec
    assert (one.runner.kept_spans, one.runner.done) == (other.runner.kept_spans, other.runner.done)
    assert one.notes == other.notes
    for session in (one, other):
        session.log.read(session.history)
    assert one.log.rows == other.log.rows
    assert list(one.log.letters.known)[: len(other.log.letters.known)] == list(other.log.letters.known)


def test_a_session_is_kept_with_its_scenario_its_place_and_notes() -> None:
    session = worked()
    spec, history = opened(session.encode(), "a name")
    again = LabSession(spec, history)
    same(session, again)
    assert [note.text for note in again.notes] == ["here it branches"]
    assert again.spec.id == "partial-resync"  # by which its lessons are found
    assert again.runner.done == 2
    assert not again.worked


@pytest.mark.parametrize("name", share_of_scenarios())
def test_the_seed_and_the_actions_give_the_same_history(name: str) -> None:
    session = played(name)
    text = session.recipe()
    spec, history = read_recipe(text)
    assert history.warning == ""
    assert history.digest() == session.history.digest()
    again = LabSession(spec, history)
    assert again.recipe() == text
    assert again.runner.done == len(spec.steps)


def test_actions_typed_by_hand() -> None:
    spec, history = read_recipe("scenario partial-resync; step; step; 2.5 app> SET k v; cut A B reset; wait 1")
    assert history.warning == ""
    assert spec.id == "partial-resync"
    assert LabSession(spec, history).runner.done == 2
    spec, history = read_recipe("seed 3\nadd A 10.0.0.1:6379\nstart A\nwait 0.1\nA> SET k v\nwait 0.1\n")
    assert (history.seed, spec.steps) == (3, ())
    assert history.world.hosts["A"].node is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed x\nstart A", "line 1: seed NUMBER"),
        ("seed 1\nscenario no-such-thing", "line 2: there is no scenario 'no-such-thing'"),
        ("scenario partial-resynk", "line 1: there is no scenario 'partial-resynk': did you mean partial-resync?"),
        ("seed 1\nexplode", "line 2: explode is not an action"),
        ("seed 1\n{broken", "line 2: "),
        ("seed 1\n0.0 #0 end nothing", "line 2: TIME #STEPS end HASH"),
    ],
)
def test_actions_that_cannot_be_read(text: str, reason: str) -> None:
    with pytest.raises(HistoryError) as caught:
        read_recipe(text)
    assert str(caught.value).startswith(reason)


def test_actions_are_opened_as_far_as_they_can_be_done() -> None:
    text = played().recipe()
    damaged = text.replace("cut A B", "cut A Q")
    _, history = read_recipe(damaged)
    assert "What comes before it is opened" in history.warning
    assert 0 < history.place < len(played().history.trace)


def test_an_unknown_node_is_told_with_the_nearest_name() -> None:
    session = played("sentinel-failover")
    for line, reason in (
        ("crash a", "there is no node a: did you mean A?"),
        ("crash X", "there is no node X: there are A, B, C"),
        ("a> PING", "there is no client or node a: did you mean A?"),
        ("crush A", "crush is not an action: did you mean crash?"),
        ("cut A nobody", "there is no node nobody: there are "),
    ):
        place = session.history.place
        with pytest.raises(Exception, match=reason.replace("?", r"\?")):
            session.execute(line)
        assert session.history.place == place


# -- files


def test_a_damaged_line_leaves_what_comes_before_it_and_other_branches() -> None:
    session = worked()
    lines = session.encode().split(b"\n")
    end = next(number for number, line in enumerate(lines) if b'"hash"' in line)
    damaged = [*lines]
    damaged[end - 1] = b"\x00\xff"
    history = History.decode(b"\n".join(damaged))
    assert f"line {end}: " in history.warning
    assert "main is opened up to place" in history.warning
    assert list(history.branches) == ["main", "branch 2"]
    assert len(history.branches["main"].trace) < len(session.history.branches["main"].trace)
    assert len(history.branches["branch 2"].trace) == len(session.history.branches["branch 2"].trace)


def test_a_file_that_ends_early_says_so() -> None:
    lines = played().encode().splitlines()
    history = History.decode(b"\n".join(lines[:-1]))
    assert "the file ends before main does" in history.warning
    assert history.place > 0
    cut = b"\n".join(lines)[: -len(lines[-1]) - len(lines[-2]) // 2]
    assert "line " in History.decode(cut).warning


def test_a_file_of_another_format_says_which_version_it_needs() -> None:
    data = played().encode().replace(b"redis-tutor history 1", b"redis-tutor history 2", 1)
    with pytest.raises(HistoryError, match="has format 2, and this version of redis-tutor reads format 1"):
        History.decode(data)


def test_what_is_not_understood_of_a_newer_version_is_left_out() -> None:
    session = worked()
    lines = session.encode().split(b"\n")
    head = json.loads(lines[0])
    head["about"] |= {"mood": "good", "notes": [{"text": 5}]}
    again = LabSession(*opened(b"\n".join([json.dumps(head).encode(), *lines[1:]]), "it"))
    assert again.history.digest() == session.history.digest()
    assert again.notes == []
    assert again.spec == session.spec


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.history"
    keeping.write_whole(path, b"the old one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotKeepError, match="No space left on device; the file there is as it was"):
        keeping.write_whole(path, b"the new one")
    assert path.read_bytes() == b"the old one"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["mine.history"]
    with pytest.raises(CannotKeepError, match="nothing was written"):
        keeping.write_whole(tmp_path / "other.history", b"x")


def test_a_full_disk_in_fact() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(CannotKeepError):
        keeping.write_whole(Path("/dev/full/no.history"), b"x")
    assert play.play("partial-resync", "/dev/full/no.history") == 1


def test_names_of_files() -> None:
    for name in ("", "a\nb", ".hidden", "x" * 81):
        with pytest.raises(CannotKeepError):
            keeping.path_of(name)
    assert keeping.path_of("my cluster") == keeping.folder() / "my cluster.history"
    session = worked()
    keeping.write_whole(keeping.path_of("my cluster"), session.encode())
    keeping.write_whole(keeping.path_of("rubbish"), b"\xff\x00")
    listed = {each.name: each for each in keeping.saved()}
    assert list(listed) == ["rubbish", "my cluster"]
    assert (listed["my cluster"].title, listed["my cluster"].notes) == (session.spec.title, 1)


def test_letters_are_the_same_wherever_they_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, path = "failover-split-brain", tmp_path / "it.history"
    assert play.play(name, str(path)) == 0
    story = capsys.readouterr().out
    assert play.reopen(str(path)) == 0
    retold = capsys.readouterr().out
    nodes = [line for line in story.splitlines() if line.startswith("    A 172")][-1]
    assert nodes in retold.splitlines()
    events = [line for line in story.splitlines() if "──▶" in line]
    assert events and [line for line in retold.splitlines() if "──▶" in line] == events
    shown = played(name)  # a screen draws the nodes before anything has happened
    assert all(shown.log.letters.shown(node.node.replication.replid.decode()) for node in shown.world.hosts.values())
    shown.log.read(shown.history)
    letter = shown.log.letters.shown(shown.world.hosts["A"].node.replication.replid.decode())
    assert f"  {letter} offset" in nodes


def test_what_is_not_as_expected_opens_at_its_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = find("partial-resync").read_text().replace("sync_partial_err: 0", "sync_partial_err: 7")
    scenario, path = tmp_path / "mine.yaml", tmp_path / "mine.history"
    scenario.write_text(text)
    assert play.play(str(scenario), str(path)) == 1
    out = capsys.readouterr().out
    place = int(out.partition("NOT AS EXPECTED at event ")[2].partition(":")[0])
    assert f"To see it: redis-tutor lab {scenario} --at {place}" in out
    opened_there = play.kept(str(path))
    assert opened_there is not None and opened_there[1].place == place
    at = play.at_event(str(scenario), place)
    assert at is not None and at[1].place == place
    assert LabSession(*at).runner.done == LabSession(*opened_there).runner.done


# -- journals


def test_a_journal_of_a_session_that_goes_back_and_branches() -> None:
    session = LabSession(read_scenario(find("partial-resync")))
    journal = SessionJournal(session)
    for act in (
        session.next_step,
        session.next_step,
        session.back,
        session.back,
        lambda: session.execute("app> SET a 1"),
        lambda: session.note("one"),
        lambda: session.history.switch("main"),
        session.next_step,
        lambda: session.execute("crash B"),
        lambda: session.history.switch("branch 2"),
        lambda: session.execute("wait 3"),
        session.step_before,
    ):
        act()
        journal.keep()
    size = journal.path.stat().st_size
    journal.leave()
    (left,) = left_behind()
    again = LabSession(*opened(left.data(), "it"))
    same(session, again)
    assert again.history.warning == ""
    assert size < 3 * len(session.encode())
    assert list(left_behind()) == []  # one restores it at a time
    left.forget()
    assert list(left_behind()) == []


def test_a_session_that_was_left_in_order_leaves_nothing() -> None:
    session = played()
    journal = SessionJournal(session)
    journal.keep()
    assert list(left_behind()) == []  # its program runs
    journal.discard()
    assert list(left_behind()) == []
    assert not list(journal.path.parent.iterdir())


KILLED = """
import sys
from tutor.lab.journal import SessionJournal
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession
session = LabSession(read_scenario(find("failover-replica")))
journal = SessionJournal(session)
def done():
    journal.keep()
    print(session.history.digest(), session.history.place, flush=True)
    sys.stdin.readline()
session.next_step()
done()
for line in ("app> SET k v", "wait 1", "crash A", "wait 0.5"):
    session.execute(line)
    done()
session.back()
session.execute("start A")
done()
"""


@pytest.mark.parametrize("actions", [1, 3, 6])
def test_a_killed_session_is_restored_with_an_equal_digest(actions: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        told = ""
        for _ in range(actions):
            told = process.stdout.readline()
            if _ < actions - 1:
                process.stdin.write("\n")
                process.stdin.flush()
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = left_behind()
    history = opened(left.data(), "it")[1]
    assert f"{history.digest()} {history.place}\n" == told
    left.forget()


def test_a_journal_on_a_full_disk_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    session = LabSession(read_scenario(find("partial-resync")))
    journal = SessionJournal(session)
    session.next_step()
    journal.keep()
    digest, write = session.history.digest(), os.pwrite
    full = iter([10, None])

    def pwrite(file: int, data: bytes, at: int) -> int:
        """Take ten bytes, and then no more."""
        room = next(full, 0)
        if room is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: room or len(data)], at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    session.execute("crash A")
    journal.keep()
    assert "No space left on device" in journal.error
    journal.leave()
    (left,) = left_behind()
    assert opened(left.data(), "it")[1].digest() == digest
    left.forget()
