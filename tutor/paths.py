"""Where the tutor keeps its files, by the system's own rules (platformdirs).

`REDIS_TUTOR_HOME` puts everything into one folder: for classrooms with a shared account, and for tests.
"""

import os
from pathlib import Path


def private(name: str, flags: int) -> int:
    """Open a file that only its owner may read: an `opener` of `open`."""
    return os.open(name, flags, 0o600)


def _directory(kind: str) -> Path:
    home = os.environ.get("REDIS_TUTOR_HOME")
    if home:
        return Path(home)
    import platformdirs

    paths = {
        "data": platformdirs.user_data_dir,
        "config": platformdirs.user_config_dir,
        "cache": platformdirs.user_cache_dir,
    }
    return Path(paths[kind]("redis-tutor", appauthor=False))


def data_dir() -> Path:
    """Return the folder of progress and saved histories."""
    return _directory("data")


def config_dir() -> Path:
    """Return the folder of settings."""
    return _directory("config")


def cache_dir() -> Path:
    """Return the folder of what can be made again."""
    return _directory("cache")
