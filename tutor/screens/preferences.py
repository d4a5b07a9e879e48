"""What the learner chose: the theme, the keys, the symbols. A small JSON file where the system wants it.

A file that cannot be read is done without, and left alone until something is chosen again.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tutor.paths import config_dir


def default_path() -> Path:
    """Return where the preferences are kept."""
    return config_dir() / "settings.json"


@dataclass
class Preferences:
    """The learner's choices. `keys` maps a binding's id to the key it has instead of its own.

    `symbols` is ascii, unicode, or "" for what the terminal shows (`tutor.symbols`).
    """

    theme: str = ""
    symbols: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    path: Path | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path | None = None) -> "Preferences":
        """Read them; whatever is wrong in the file counts as not chosen."""
        path = path or default_path()
        chosen = cls(path=path)
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return chosen
        if isinstance(data, dict):
            if isinstance(data.get("theme"), str):
                chosen.theme = data["theme"]
            if data.get("symbols") in ("ascii", "unicode"):
                chosen.symbols = data["symbols"]
            if isinstance(data.get("keys"), dict):
                chosen.keys = {str(name): key for name, key in data["keys"].items() if isinstance(key, str)}
        return chosen

    def save(self) -> None:
        """Write them, whole or not at all. On a read-only disk they hold until the program ends."""
        if self.path is None:
            return
        data = {name: value for name, value in asdict(self).items() if name != "path"}
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
            os.replace(temporary, self.path)
