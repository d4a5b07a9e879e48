"""The consoles of the laboratory: replies, and everything that comes unasked."""

import pytest

from tutor.lab.actions import run_line
from tutor.lab.console import transcript
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner


def said(*lines: str) -> list[str]:
    """Return what the console of A shows after these lines; `B:` and `C:` are typed at other nodes."""
    runner = ScenarioRunner(read_scenario(find("partial-resync")))
    runner.step()
    history = runner.history
    before = len(transcript(history, "A", "A"))
    for line in lines:
        run_line(history, line, runner.spec.clients)
        history.run(history.world.now_us + 50_000)
    return ["".join(text for text, _ in row) for row in transcript(history, "A", "A")[before:]]


def test_replies_follow_their_commands() -> None:
    assert said("A> SET k v", "A> MGET k none", "A> INFO keyspace")[:6] == [
        "A> SET k v",
        "OK",
        "A> MGET k none",
        '1) "v"',
        "2) (nil)",
        "A> INFO keyspace",
    ]


def test_a_monitor_shows_what_others_do_and_still_takes_commands() -> None:
    rows = said("A> MONITOR", "app> SET a b", "A> PING")
    assert rows[:2] == ["A> MONITOR", "OK"]
    assert any('"SET" "a" "b"' in row for row in rows)
    assert rows.index("PONG") > rows.index("A> PING")


@pytest.mark.parametrize("hello", [[], ["A> HELLO 3"]])
def test_messages_come_between_replies(hello: list[str]) -> None:
    rows = said(*hello, "A> SUBSCRIBE a b", "app> PUBLISH b hello", "A> UNSUBSCRIBE a", "app> PUBLISH b again")
    text = "\n".join(rows)
    assert text.count('"subscribe"') == 2
    assert text.count('"message"') == 2
    assert (
        text.index('"hello"') < text.index("A> UNSUBSCRIBE a") < text.index('"unsubscribe"') < text.index('"again"')
    )


def test_invalidations_are_told() -> None:
    rows = said("A> HELLO 3", "A> CLIENT TRACKING ON", "A> GET k", "app> SET k v", "A> PING")
    assert "-> invalidate: 'k'" in rows
    assert rows[-2:] == ["A> PING", "PONG"]


@pytest.mark.parametrize("command", ["PSYNC ? -1", "SYNC"])
def test_a_replication_stream_is_shown_as_it_comes(command: str) -> None:
    rows = said(f"A> {command}", "app> SET k streamed")
    assert rows[0] == f"A> {command}"
    assert any("REDIS0011" in row for row in rows)
    assert any("streamed" in row for row in rows)


def test_an_invitation_to_anything_odd_never_fails() -> None:
    assert said("A> CLIENT REPLY OFF", "A> PING", "A> CLIENT REPLY ON")[-1] == "OK"
    assert said("A> QUIT")[-2:] == ["OK", "the connection has ended"]
