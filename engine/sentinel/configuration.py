"""The configuration file of a running Sentinel, rewritten whenever its state changes.

It is durable when `flush` returns: a vote, above all, is on disk before anyone hears of it, so that a Sentinel that
crashes does not vote twice in one epoch.
"""

from collections.abc import Callable

from engine.config.rewriting import Draft
from engine.effects import Output
from engine.sentinel.directives import write_lines
from engine.sentinel.watched import Watched


class ConfigurationFile:
    """The file."""

    rewrite: Callable[[Callable[[Draft], None]], None]  # writes the file with these lines; raises OSError

    def __init__(self, watched: Watched, output: Output) -> None:
        self.watched = watched
        self.output = output

    def flush(self) -> bool:
        """Write the file; False, and a line in the log, if that failed."""
        try:
            self.rewrite(self._lines)
        except OSError as error:
            self.output.log(
                "#",
                f"WARNING: Sentinel was not able to save the new configuration on disk!!!: {error.strerror or error}",
            )
            return False
        self.output.log("*", "Sentinel new configuration saved on disk")
        return True

    def _lines(self, draft: Draft) -> None:
        write_lines(self.watched, draft)
