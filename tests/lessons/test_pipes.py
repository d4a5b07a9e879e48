"""In a pipe there is no full screen: the tutor names a command that works there."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tutor.commandline import cli


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))


@pytest.mark.parametrize(
    "asked, named",
    [
        ([], "redis-tutor list"),
        (["sandbox"], "redis-tutor sandbox --plain"),
        (["sandbox", "--data", "shop"], "redis-tutor sandbox --plain --data shop"),
        (["learn", "sorted-sets"], "redis-tutor learn sorted-sets --plain"),
        (["place", "2", "--challenge"], "redis-tutor learn challenge-types --plain"),
        (["lab", "partial-resync"], "redis-tutor lab partial-resync --play"),
    ],
)
def test_the_command_that_is_named_works(asked: list[str], named: str) -> None:
    refused = CliRunner().invoke(cli, asked)
    assert refused.exit_code == 1
    (command,) = re.findall(r"needs a terminal; try `([^`]+)`", refused.output)
    assert command == named
    tried = CliRunner().invoke(cli, shlex.split(command)[1:], input=":quit\n")
    assert tried.exit_code == 0, tried.output


def test_a_real_server_and_a_file_are_passed_on(tmp_path: Path) -> None:
    lesson = tmp_path / "my lesson.md"
    refused = CliRunner().invoke(cli, ["sandbox", "--connect", "127.0.0.1:1"])
    assert "`redis-tutor sandbox --plain --connect 127.0.0.1:1`" in refused.output
    refused = CliRunner().invoke(cli, ["learn", str(lesson)])
    assert f"`redis-tutor learn '{lesson}' --plain`" in refused.output
