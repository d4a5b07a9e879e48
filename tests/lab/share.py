"""Which scenarios the slower tests play: those with Sentinels run for minutes of virtual time."""

import os

from tutor.lab.loader import names


def share_of_scenarios() -> list[str]:
    """Return the scenarios without Sentinels and a few of those with them, or all where EVERY_SCENARIO is set."""
    with_sentinels = [name for name in names() if name.startswith("sentinel-")]
    left_out = set() if os.environ.get("EVERY_SCENARIO") else set(with_sentinels) - set(with_sentinels[::6])
    return [name for name in names() if name not in left_out]
