"""What tests of the prompt fork: our client, with what a session on a terminal imports."""

import tutor.cli.terminal  # noqa: F401
from tutor.cli import main

__all__ = ["main"]
