"""Exports of histories: text, pictures, recordings, and pages that a browser replays."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.chromium import Page
from tests.waiting import wait_until
from tutor.lab import play
from tutor.lab.export import export
from tutor.lab.export.page import BYTES_MAX
from tutor.lab.export.recorded import EVENTS_MAX, record
from tutor.lab.keeping import CannotKeepError
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession


def played(name: str) -> LabSession:
    session = LabSession(read_scenario(find(name)))
    while session.runner.next_step is not None:
        session.next_step()
    return session


@pytest.fixture(scope="module")
def session() -> LabSession:
    """A failover with a cut link, a note, and a place before its end."""
    session = played("failover-replica")
    session.execute("cut A B silent")
    session.execute("wait 1")
    session.note("<b>cut</b> & waiting")
    return session


def test_an_export_changes_nothing(session: LabSession, tmp_path: Path) -> None:
    before = session.history.digest(), session.history.place, session.history.branch_name
    for kind in ("txt", "svg", "html", "cast"):
        told = export(session, str(tmp_path / f"it.{kind}"))
        assert told.startswith(f"{tmp_path / f'it.{kind}'}: ")
    assert (session.history.digest(), session.history.place, session.history.branch_name) == before


def test_text_is_what_is_printed(session: LabSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, kept = tmp_path / "it.txt", tmp_path / "it.history"
    export(session, str(path))
    kept.write_bytes(session.encode())
    assert play.reopen(str(kept)) == 0
    assert capsys.readouterr().out == path.read_text()
    assert "✎ <b>cut</b> & waiting" in path.read_text()
    assert f"1. {session.spec.steps[0].say[:30]}" in path.read_text()


def test_a_picture_has_every_machine_and_the_last_messages(session: LabSession, tmp_path: Path) -> None:
    path = tmp_path / "it.svg"
    export(session, str(path))
    root = ET.fromstring(path.read_text())
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for name in session.world.hosts:
        assert name in texts
    assert "✂" in texts
    session.log.read(session.history)
    assert any(session.log.rows[session.log.count - 1][4][:40] in text for text in texts)


def test_a_recording_is_of_asciinemas_format(session: LabSession, tmp_path: Path) -> None:
    path = tmp_path / "it.cast"
    export(session, str(path))
    header, *events = [json.loads(line) for line in path.read_text().splitlines()]
    assert (header["version"], header["title"]) == (2, session.spec.title)
    times = [event[0] for event in events]
    assert times == sorted(times) and all(event[1] == "o" for event in events)
    shown = "".join(event[2] for event in events)
    assert "cut A B silent" in shown and "✎ <b>cut</b> & waiting" in shown
    assert all(step.say[:30] in shown.replace("\r\n", " ") for step in session.spec.steps)


def test_names_that_cannot_be_exported(session: LabSession, tmp_path: Path) -> None:
    for name in ("it", "it.pdf", ".html"):
        with pytest.raises(CannotKeepError, match=r"FILE\.html a page"):
            export(session, str(tmp_path / name))
    with pytest.raises(CannotKeepError, match="Not a directory; nothing was written"):
        export(session, "/dev/null/it.html")
    with pytest.raises(CannotKeepError, match="No such file or directory; nothing was written"):
        export(session, str(tmp_path / "missing" / "it.html"))
    assert not (tmp_path / "missing").exists(), "no folder is made where the name may be a mistake"


@pytest.mark.long
def test_a_browser_replays_a_page(session: LabSession, tmp_path: Path) -> None:
    path = tmp_path / "it.html"
    export(session, str(path))
    session.log.read(session.history)
    rows = session.log.rows[: session.log.count]
    with Page(path) as page:
        assert page.run("document.querySelectorAll('#events div').length") == len(rows)
        assert rows[0][4] in page.text("#events .now")
        page.run("document.querySelector('#speed').value = 40")
        page.click("#play")
        wait_until(lambda: page.run("Number(document.querySelector('#at').value)") > 5, "the replay")
        page.click("#play")  # it stands still now
        at = page.run("Number(document.querySelector('#at').value)")
        page.key("ArrowLeft")
        assert page.run("Number(document.querySelector('#at').value)") == at - 1
        assert rows[at - 1][4] in page.text("#events .now")
        page.click("#back")
        assert page.run("Number(document.querySelector('#at').value)") == at - 2
        page.key("Home")
        assert page.text("#of") == f"1 of {len(rows)}"
        page.key("End")
        assert page.text("#of") == f"{len(rows)} of {len(rows)}"
        assert rows[-1][4] in page.text("#events .now")
        last = [line for line in page.text("#detail").splitlines() if line]
        assert last == ["".join(part for part, _ in line)[:200] for line in session.log.opened(len(rows) - 1)][:40]
        assert session.spec.steps[-1].say[:40] in page.text("#story")
        assert page.text("#notes") == "✎ <b>cut</b> & waiting"
        nodes = page.text("#nodes")
        assert all(f"{name} {host.address}" in nodes for name, host in session.world.hosts.items())
        assert page.run("document.querySelectorAll('#map line.cut').length") == 1
        assert page.run("document.querySelectorAll('#map rect').length") >= len(session.world.hosts)
        page.run("document.querySelector('#events div:nth-child(3)').click()")
        assert page.text("#of") == f"3 of {len(rows)}"
        assert len(page.picture()) > 10_000
        assert page.errors == []


@pytest.mark.long
def test_two_thousand_events_fit_and_play_to_the_end(tmp_path: Path) -> None:
    session = played("chain")
    session.execute("write app 900 200")
    session.execute("wait 2")
    while session.log.count < EVENTS_MAX + 100:
        session.execute("write app 200 200")
        session.execute("wait 2")
        session.log.read(session.history)
    recorded = record(session)
    assert (len(recorded.events), recorded.before) == (EVENTS_MAX, session.log.count - EVENTS_MAX)
    path = tmp_path / "it.html"
    assert "are left out" in export(session, str(path))
    assert path.stat().st_size <= BYTES_MAX
    with Page(path) as page:
        page.key("End")
        assert page.text("#of") == f"{EVENTS_MAX} of {EVENTS_MAX}"
        assert session.log.rows[session.log.count - 1][4] in page.text("#events .now")
        for _ in range(3):
            page.key("ArrowLeft")
        page.run("document.querySelector('#speed').value = 40")
        page.key(" ")
        wait_until(lambda: page.text("#of").startswith(f"{EVENTS_MAX} of"), "the end")
        assert page.errors == []
