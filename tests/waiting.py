"""How tests wait: for a condition, and never for a time.

A deadline only ends a test that would wait in vain. It has to be longer than anything takes on a busy machine, so
there is one for all tests:

    wait_until(lambda: client.ping(), "the server answers")
    subprocess.run(command, timeout=PATIENCE_S)
"""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 180.0
_LOOK_AGAIN_S = 0.01
_T = TypeVar("_T")


def wait_until(condition: Callable[[], _T], what: str, *ignored: type[Exception]) -> _T:
    """Call `condition` until what it returns is true, and return that; the exceptions `ignored` count as false."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if value := condition():
                return value
        except ignored:
            pass
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(_LOOK_AGAIN_S)
