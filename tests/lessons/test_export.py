"""What was typed, as a script, a page and a recording: complete, without what was taken back, without secrets."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lessons.test_free_play import Played
from tests.real import client_program, start_server
from tests.waiting import PATIENCE_S
from tutor.lesson.export import gather, page, recording, script
from tutor.lesson.scrollback import Scrollback
from tutor.prompt.history import LineHistory, redacted
from tutor.prompt.rows import Row, row

SECRETS = ("hunter22", "opensesame", "topsecret", "trustno1")
TRAIL = [
    ("0 Storing", [
        {"terminal": "redis", "line": "SET a 1", "at": 1_000_000},
        {"action": "hint", "at": 1_000_500},
        {"terminal": "redis", "line": "GET a", "at": 1_001_000},
    ]),
    ("1 Secrets", [
        {"terminal": "redis", "line": "CONFIG SET requirepass hunter22", "at": 1_002_000},
        {"terminal": "redis", "line": "AUTH hunter22", "at": 1_003_000},
        {"terminal": "redis", "line": "CONFIG GET requirepass", "at": 1_004_000},
        {"terminal": "redis", "line": "ACL SETUSER ann on >opensesame ~* +@all", "at": 1_005_000},
        {"terminal": "redis", "line": "HELLO 3 AUTH ann topsecret", "at": 1_006_000},
        {"terminal": "redis", "line": "MIGRATE h 1 k 0 5 AUTH trustno1", "at": 1_006_500},
        {"terminal": "redis", "line": "ECHO hunter22", "at": 1_007_000},
        {"terminal": "other", "line": "SUBSCRIBE news", "at": 1_090_000},
        {"terminal": "redis", "line": "SELECT 2", "at": 1_091_000},
        {"terminal": "redis", "line": "BLPOP q 0", "at": 1_092_000},
    ]),
]  # fmt: skip


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Scrollback]:
    kept = Scrollback(tmp_path / "a.screen", fresh=True)
    for line, *printed in (
        ("SET a 0", "OK"), ("SET a 1", "OK"), ("GET a", '"1"'), ("CONFIG SET requirepass hunter22", "OK"),
        ("CONFIG GET requirepass", '1) "requirepass"', '2) "hunter22"'), ("ECHO hunter22", '"hunter22"'),
    ):  # fmt: skip
        kept.add("redis", [Row((("127.0.0.1:6379> ", "prompt"), (line, "command"))), *map(row, printed)])
    yield kept
    kept.close()


def test_no_form_tells_a_secret(shown: Scrollback) -> None:
    typed = gather("Strings", TRAIL, shown)
    for form in (script, page, recording):
        text = form(typed)
        assert not any(secret in text for secret in SECRETS), form
        assert "redacted" in text


def test_an_address_with_a_password_is_not_remembered(tmp_path: Path) -> None:
    kept = LineHistory(tmp_path / "history")
    assert not kept.add(":connect redis://ann:hunter22@10.0.0.1:6379") and kept.add(":connect 10.0.0.1:6379")
    assert redacted(":connect redis://ann:hunter22@10.0.0.1 write") == ":connect (redacted)"


def test_a_page_has_steps_commands_and_replies(shown: Scrollback) -> None:
    text = page(gather("Strings", TRAIL, shown))
    assert text.startswith("# Strings\n") and "\n## Storing\n" in text and "\n## Secrets\n" in text
    assert '127.0.0.1:6379> SET a 1\nOK\n127.0.0.1:6379> GET a\n"1"\n' in text
    assert "SET a 0" not in text, "it was taken back"
    assert "In the terminal other:" in text


def test_a_script_leaves_out_what_waits(shown: Scrollback) -> None:
    text = script(gather("Strings", TRAIL, shown))
    assert text.startswith("#!/bin/sh\n") and "# Storing\n" in text
    assert "# not repeated: SUBSCRIBE news" in text and "# not repeated: BLPOP q 0" in text
    assert "\nSELECT 2\nEND" in text


def test_a_recording_waits_no_longer_than_a_reader(shown: Scrollback) -> None:
    header, *events = map(json.loads, recording(gather("Strings", TRAIL, shown)).splitlines())
    assert header["version"] == 2 and header["title"] == "Strings"
    times = [at for at, _, _ in events]
    assert times == sorted(times) and times[-1] < 60
    assert "SET a 1\r\nOK\r\n" in "".join(text for _, _, text in events)


@pytest.mark.long
def test_the_script_of_a_session_makes_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path / "home"))
    sandbox = Played()
    try:
        sandbox.act("data shop")
        for line in ("SET gone 1", 'SET "two words" "it\'s $HOME `x`"', "RPUSH l a b c", "BLPOP l 1"):
            sandbox.type(line)
        assert "Nothing" not in sandbox.act(f"export {tmp_path / 'a.sh'}")
        assert "exists already" in sandbox.act(f"export {tmp_path / 'a.sh'}")
        assert "writes a shell script" in sandbox.act("export a.txt")
        assert "cannot be written" in sandbox.act(f"export {tmp_path}/none/a.sh")
        sandbox.act("undo"), sandbox.type("DEL gone")
        sandbox.act(f"export {tmp_path / 'b.sh'}"), sandbox.act(f"export {tmp_path / 'b.md'}")
        assert "(integer) 3" in (tmp_path / "b.md").read_text()
        data = sandbox.controller._inspect([b"KEYS", b"*"], 0)
        with start_server() as server:
            client = f"{client_program().path} -p {server.port}"
            for command in (f"REDIS_CLI='{client}' sh {tmp_path / 'b.sh'}", f"{client} --raw KEYS '*'"):
                done = subprocess.run(command, shell=True, capture_output=True, timeout=PATIENCE_S, check=True)
            assert sorted(done.stdout.splitlines()) == sorted(data)
            done = subprocess.run(f"{client} GET 'two words'", shell=True, capture_output=True, timeout=PATIENCE_S)
            assert done.stdout == b"it's $HOME `x`\n"
    finally:
        sandbox.close()
