"""Time from start to first screen, beside a bare Textual program: `python -m tests.benchmarks.first_screen`.

Each is started in a pseudo-terminal, five times in turn; what counts is when its first text is painted. Prints both
medians and their ratio (aim: within 2), with Python's version.
"""

import platform
import statistics
import sys
import tempfile
import time

from tests.prompt.screen import Terminal

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("PAINTED")
Bare().run()
"""
OURS = "import sys; from tutor.app import run; sys.exit(run())"
ROUNDS = 5


def painted(program: str, text: str) -> float:
    """Return the seconds until `text` is on the screen."""
    environment = {"REDIS_TUTOR_HOME": tempfile.mkdtemp(prefix="first-screen-")}
    started = time.monotonic()
    with Terminal([sys.executable, "-c", program], env=environment) as screen:
        screen.show(text)
        return time.monotonic() - started


def main() -> None:
    """Measure and print."""
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(painted(BARE, "PAINTED"))
        ours.append(painted(OURS, "redis-tutor"))
    one, other = statistics.median(bare), statistics.median(ours)
    print(
        f"Python {platform.python_version()}: bare Textual {one:.3f} s, redis-tutor {other:.3f} s: {other / one:.2f}"
    )


if __name__ == "__main__":
    main()
