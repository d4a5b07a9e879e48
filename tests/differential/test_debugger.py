"""The debugger of scripts beside a real server: the same sessions, the same answers."""

from collections.abc import Iterator

import pytest

from tests.clients.ours import Served, serve
from tests.differential.debugged import SCRIPTS, Script, play
from tests.real import RealServer, missing


@pytest.fixture(scope="module")
def ours() -> Iterator[Served]:
    with serve("--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def theirs(real_server: RealServer) -> RealServer:
    if real_server.program.kind != "redis" or real_server.program.version < (7,):
        missing("a redis-server 7")
    return real_server


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_session_says_the_same(ours: Served, theirs: RealServer, script: Script) -> None:
    for mode in ("sync", "yes"):
        assert play(ours.port, mode, script) == play(theirs.port, mode, script)
