"""The packages of Node clients, installed with npm into the user's cache.

They are those that `node/package.json` names, and are installed once for each content of that file. Without node,
npm or a network, the tests that need them are skipped and say why.
"""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

from tests.waiting import PATIENCE_S

PACKAGES = Path(__file__).parent / "node" / "package.json"


def node_modules() -> Path:
    """Return the folder that holds the packages; made by the first worker that needs it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = (
        platformdirs.user_cache_path("redis-tutor") / "tests" / hashlib.sha256(PACKAGES.read_bytes()).hexdigest()[:16]
    )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.copy(PACKAGES, folder)
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
