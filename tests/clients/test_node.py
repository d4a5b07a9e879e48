"""Node clients (ioredis, node-redis) against our server; `node/sessions.js` holds what they do.

The packages that `node/package.json` names are installed with npm into the user's cache, once for each content of
that file. Without node, npm or a network the tests are skipped and say why.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from tests.clients.ours import Served, serve
from tests.waiting import PATIENCE_S

HERE = Path(__file__).parent / "node"
SESSIONS = re.findall(r'^  async "?([\w -]+)"?\(', (HERE / "sessions.js").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder that holds the packages; made by the first worker that needs it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    wanted = (HERE / "package.json").read_bytes()
    folder = platformdirs.user_cache_path("redis-tutor") / "tests" / hashlib.sha256(wanted).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.copy(HERE / "package.json", folder)
            command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
            command += ["--fetch-retries", "0"]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"npm could not install the Node clients: {error.stderr.strip().splitlines()[-1:]}")
            except subprocess.TimeoutExpired:
                pytest.skip("npm could not install the Node clients in time")
            (folder / "complete").touch()
    return folder / "node_modules"


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
