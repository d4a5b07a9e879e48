"""No command leaves memory behind whenever it runs."""

import subprocess
import sys

import pytest

from tests.leaks import GROUPS
from tests.share import share
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

BLOCKS_PER_COMMAND = 0.05
BYTES_PER_COMMAND = 1.0  # of the C library


@pytest.mark.parametrize("group", share(GROUPS, 4))
def test_memory_in_use_does_not_grow_with_the_number_of_commands(group: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.leaks", group], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    name, blocks, size = ran.stdout.split()
    assert name == group
    assert float(blocks) < BLOCKS_PER_COMMAND
    assert float(size) < BYTES_PER_COMMAND
