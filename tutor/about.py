"""`redis-tutor info`: where files are kept, and which versions run."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from engine.protocol.version import VERSION

_LIBRARIES = ("textual", "rich", "prompt-toolkit", "hiredis", "lupa", "sortedcontainers")


def version_of(name: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def server_runs_as() -> str:
    """Return whether the server runs from its source, or compiled (see `hatch_build.py`)."""
    spec = find_spec("engine.execution.dispatch")
    interpreted = spec is None or spec.origin is None or spec.origin.endswith(".py")
    return "interpreted" if interpreted else "compiled"


def facts() -> dict[str, str]:
    """Return everything that `info` prints, by name."""
    from tutor.paths import cache_dir, config_dir, data_dir

    return {
        "redis-tutor": version_of("redis-tutor"),
        "compatible with": f"Redis {VERSION}",
        "server": server_runs_as(),
        "Python": platform.python_version(),
        **{name: version_of(name) for name in _LIBRARIES},
        "progress": str(data_dir() / "progress.json"),
        "settings": str(config_dir() / "settings.json"),
        "cache": str(cache_dir()),
        "lessons": str(Path(__file__).resolve().parent.parent / "lessons"),
        "command history": str(Path.home() / ".rediscli_history"),
    }


def print_info(as_json: bool) -> int:
    """Print the facts, as a table or as JSON; returns the exit status."""
    told = facts()
    if as_json:
        print(json.dumps(told, indent=2))
        return 0
    width = max(map(len, told))
    for name, value in told.items():
        print(f"{name:<{width}}  {value}")
    return 0
