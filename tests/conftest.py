"""What all tests share: the real server to compare with, and `--rewrite` for what is recorded."""

import os

import pytest
from hypothesis import settings

from tests.real import real_server

# A busy machine makes no test wrong: time limits are pytest-timeout's.
# The same examples at every run, so that a failure is about the change at hand; EXAMPLES=N asks for new ones.
settings.register_profile("same", deadline=None, derandomize="EXAMPLES" not in os.environ)
settings.load_profile("same")

__all__ = ["real_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write recorded files anew; then read the diff")
