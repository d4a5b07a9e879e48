"""What all tests share: the real server to compare with, and `--rewrite` for what is recorded."""

import pytest
from hypothesis import settings

from tests.real import real_server

# A busy machine makes no test wrong: time limits are pytest-timeout's.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")

__all__ = ["real_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write recorded files anew; then read the diff")
