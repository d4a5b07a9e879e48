"""What all tests share: the real server to compare with, and `--rewrite` for what is recorded."""

import pytest

from tests.real import real_server

__all__ = ["real_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write recorded files anew; then read the diff")
