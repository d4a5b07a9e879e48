"""What all tests share: the real server to compare with, and `--rewrite` for what is recorded."""

import gc
import os
import signal
import sys

# Tests start a thousand processes: each would compile the whole program where Python is told to keep no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.real import real_server  # noqa: E402
from tutor.about import server_runs_as  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts jobs in the background; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes no test wrong: time limits are pytest-timeout's.
# The same examples at every run, so that a failure is about the change at hand; EXAMPLES=N asks for new ones.
settings.register_profile("same", deadline=None, derandomize="EXAMPLES" not in os.environ)
settings.load_profile("same")

__all__ = ["real_server"]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return what `-n auto` means: tests wait for servers half of the time, so each core has two workers."""
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write recorded files anew; then read the diff")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip on the compiled modules what replaces or counts functions of Python."""
    if item.get_closest_marker("interpreted") and server_runs_as() == "compiled":
        pytest.skip("replaces or counts functions, which are compiled")


def pytest_collection_finish() -> None:
    """Leave what the tests have imported out of every garbage collection to come."""
    gc.collect()
    gc.freeze()
