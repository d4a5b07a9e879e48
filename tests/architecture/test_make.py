"""`make tutor` and `make test`: what they install, how often, and what they say when they cannot.

A script plays Python: it notes what pip is asked for instead of installing it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
    *"-m venv"*) mkdir -p project/.venv/bin && cp "$0" project/.venv/bin/python ;;
    *"-m pip"*) echo "$*" >> ../../asked; [ ! -e ../../offline ] ;;
    *version_info*) exec {python} "$@" ;;
esac
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not found")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what make reads, in a folder with a space in its name; beside it the script."""
    folder = tmp_path / "my files" / "project"
    folder.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-test.lock"):
        shutil.copy(ROOT / name, folder)
    write(folder.parent / "python3", PYTHON.format(python=sys.executable))
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make(project: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = f"{project.parent}:/usr/bin:/bin"
    return subprocess.run(
        ["make", *arguments], cwd=project, env={"PATH": path} | environment, capture_output=True, text=True
    )


def asked(project: Path) -> list[str]:
    """Return the requirements that pip was asked to install."""
    note = project / "asked"
    lines = note.read_text().splitlines() if note.exists() else []
    return [line.split(" -r ")[1] for line in lines if " -r " in line]


def test_each_command_installs_what_it_needs_once(project: Path) -> None:
    for _ in range(2):
        assert make(project, "tutor").returncode == 0
        assert asked(project) == ["requirements.lock"]
    for command in ("test", "lint", "types", "tutor"):
        assert make(project, command).returncode == 0
        assert asked(project) == ["requirements.lock", "requirements-test.lock"]


def test_a_new_lock_is_installed(project: Path) -> None:
    make(project, "tutor")
    os.utime(project / "requirements.lock", (2**31, 2**31))
    make(project, "tutor")
    assert asked(project) == ["requirements.lock"] * 2


def test_without_a_network(project: Path) -> None:
    (project / "offline").touch()
    done = make(project, "tutor")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "redis-tutor: pip could not install them. Is the network reachable? See .venv/pip.log."
    )
    (project / "offline").unlink()
    assert make(project, "tutor").returncode == 0


def test_an_environment_whose_python_is_gone_is_made_again(project: Path) -> None:
    make(project, "tutor")
    (project / ".venv/bin/python").unlink()
    assert make(project, "tutor").returncode == 0
    assert len(asked(project)) == 2


def test_a_python_that_is_too_old(project: Path) -> None:
    old = project.parent / "old"
    write(old, "#!/bin/sh\nexit 1\n")
    done = make(project, "tutor", f"PYTHON={old}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"redis-tutor needs Python 3.11 or newer: {old} is not."


def test_a_python_without_venv(project: Path) -> None:
    poor = project.parent / "poor"
    write(poor, '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n')
    done = make(project, "tutor", f"PYTHON={poor}")
    assert done.returncode == 2
    assert "apt install python3-venv" in done.stderr.splitlines()[0]


def test_the_platforms(project: Path) -> None:
    done = make(project, "tutor", OS="Windows_NT")
    assert done.returncode == 2
    assert "runs on Linux, on macOS and in WSL" in done.stderr
    assert asked(project) == []
    code = "import sys; sys.platform = 'win32'; import tutor.__main__; tutor.__main__.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "redis-tutor runs on Linux, on macOS and in WSL (the Windows Subsystem for Linux), not on Windows.\n"
    )
