"""Snapshots of pictures: text files beside the tests, written anew with `--rewrite`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.snapshots import compare

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of this name, or write it."""

    def check(name: str, text: str) -> None:
        compare(request.config, SNAPSHOTS / f"{name}.txt", text)

    return check
