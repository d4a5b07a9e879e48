"""Snapshots as text files beside the tests: readable in a diff, written anew with `--rewrite`."""

from pathlib import Path

import pytest


def compare(config: pytest.Config, path: Path, shown: str) -> None:
    """Compare a text with a file, or write the file."""
    if config.getoption("--rewrite"):
        path.write_text(shown, "utf-8")
        return
    assert path.exists(), f"{path} is missing: run with --rewrite and look at it"
    assert shown == path.read_text("utf-8"), f"this differs from {path.name}:\n{shown}"
