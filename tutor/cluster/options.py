"""The words of a command line that begin with `--cluster`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tutor.prompt.state import c_int

MIGRATE_TIMEOUT_MS = 60000
PIPELINE = 10
THRESHOLD = 2.0
ONCE = """\
WARNING: you cannot use --cluster-weight more than once.
You can set more weights by adding them as a space-separated list, ie:
--cluster-weight n1=w n2=w
"""


class BadOptionError(Exception):
    """The command line is wrong; the text is for standard error."""


@dataclass(slots=True)
class ClusterOptions:
    """What the command line says. Without a `name` there is no subcommand."""

    name: str = ""
    args: list[str] = field(default_factory=list)
    replicas: int = 0
    source: str | None = None  # --cluster-from
    target: str | None = None  # --cluster-to
    from_user: str | None = None
    from_password: str | None = None
    from_ask_password: bool = False
    weights: list[str] | None = None
    slots: int = 0
    timeout_ms: int = MIGRATE_TIMEOUT_MS
    pipeline: int = PIPELINE
    threshold: float = THRESHOLD
    master_id: str | None = None
    yes: bool = False
    fix: bool = False
    as_replica: bool = False
    use_empty_masters: bool = False
    simulate: bool = False
    replace: bool = False
    copy: bool = False
    search_owners: bool = False
    fix_with_unreachable: bool = False
    only_masters: bool = False
    only_replicas: bool = False
    verbose: bool = False
    user: str | None = None  # of the whole command line
    password: str | None = None

    def take(self, rest: list[str]) -> bool:
        """Take the first words of a command line if they are about clusters. Raises BadOptionError."""
        word = rest[0]
        if word in _FLAGS:
            setattr(self, _FLAGS[word], True)
            del rest[0]
            return True
        if word == "--cluster":
            self._take_subcommand(rest)
            return True
        if self.name and not word.startswith("-"):
            args = _until_option(rest)
            if not self.args:
                self.args = args
            return True
        if len(rest) < 2:
            return False
        if word == "--cluster-weight":
            self._take_weights(rest)
            return True
        if word not in _VALUES:
            return False
        name, convert = _VALUES[word]
        setattr(self, name, convert(rest[1]))
        del rest[:2]
        return True

    def _take_subcommand(self, rest: list[str]) -> None:
        if self.name or len(rest) < 2:
            raise BadOptionError("")
        self.name = rest[1]
        del rest[:2]
        self.args = _until_option(rest)

    def _take_weights(self, rest: list[str]) -> None:
        if self.weights is not None:
            raise BadOptionError(ONCE)
        del rest[0]
        weights = []
        while rest and not rest[0].startswith("--") and "=" in rest[0]:
            weights.append(rest.pop(0))
        if weights:
            self.weights = weights


def _until_option(rest: list[str]) -> list[str]:
    """Remove and return the words up to the next option."""
    words = []
    while rest and not rest[0].startswith("-"):
        words.append(rest.pop(0))
    return words


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


_VALUES: dict[str, tuple[str, Callable[[str], object]]] = {
    "--cluster-replicas": ("replicas", c_int),
    "--cluster-master-id": ("master_id", str),
    "--cluster-from": ("source", str),
    "--cluster-to": ("target", str),
    "--cluster-from-user": ("from_user", str),
    "--cluster-from-pass": ("from_password", str),
    "--cluster-slots": ("slots", c_int),
    "--cluster-timeout": ("timeout_ms", c_int),
    "--cluster-pipeline": ("pipeline", c_int),
    "--cluster-threshold": ("threshold", _real),
}
_FLAGS = {
    "--cluster-only-masters": "only_masters",
    "--cluster-only-replicas": "only_replicas",
    "--cluster-from-askpass": "from_ask_password",
    "--cluster-yes": "yes",
    "--cluster-simulate": "simulate",
    "--cluster-replace": "replace",
    "--cluster-copy": "copy",
    "--cluster-slave": "as_replica",
    "--cluster-use-empty-masters": "use_empty_masters",
    "--cluster-search-multiple-owners": "search_owners",
    "--cluster-fix-with-unreachable-masters": "fix_with_unreachable",
}
