"""Which scenarios the tests play: those with Sentinels or clusters run for minutes of virtual time."""

from tests.share import share
from tutor.lab.loader import names


def share_of_scenarios() -> list[str]:
    """Return the scenarios about replication and a few of the others, or all where everything is proved."""
    others = [name for name in names() if name.startswith(("sentinel-", "cluster-"))]
    left_out = set(others) - set(share(others, 4))
    return [name for name in names() if name not in left_out]
