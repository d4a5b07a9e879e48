"""Node clients (ioredis, node-redis) against our server; `node/sessions.js` holds what they do."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.ours import Served, serve
from tests.clients.packages import node_modules
from tests.waiting import PATIENCE_S

HERE = Path(__file__).parent / "node"
SESSIONS = re.findall(r'^  async "?([\w -]+)"?\(', (HERE / "sessions.js").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder that holds the packages."""
    return node_modules()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


@pytest.mark.parametrize("session", SESSIONS)
def test_session(modules: Path, served: Served, session: str) -> None:
    done = subprocess.run(
        ["node", str(HERE / "sessions.js"), session, str(served.port)],
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
