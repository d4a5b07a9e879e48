"""Which scenarios the tests play: those with Sentinels run for minutes of virtual time."""

from tests.share import share
from tutor.lab.loader import names


def share_of_scenarios() -> list[str]:
    """Return the scenarios without Sentinels and a few of those with them, or all where everything is proved."""
    with_sentinels = [name for name in names() if name.startswith("sentinel-")]
    left_out = set(with_sentinels) - set(share(with_sentinels, 4))
    return [name for name in names() if name not in left_out]
