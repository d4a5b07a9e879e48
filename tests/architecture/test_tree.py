"""What lies at the top of the project: the packages, and standard files."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "docs", "engine",
    "hatch_build.py", "lessons", "pyproject.toml", "requirements-test.lock", "requirements.lock", "tests", "tutor",
}  # fmt: skip


def test_nothing_else_is_kept_at_the_top() -> None:
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no repository")
    assert {name.split("/")[0] for name in listed.splitlines()} <= TOP
