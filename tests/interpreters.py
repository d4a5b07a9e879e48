"""Other versions of Python that can run the engine here, to compare with."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
SUPPORTED = (11, 12, 13)
_NEEDS = "import sys; import tutor.lab.runner, engine.simulation.history; print(sys.version_info[1])"


def works(python: str) -> bool:
    """Tell whether an interpreter has what the engine and the laboratory need."""
    try:
        done = subprocess.run([python, "-c", _NEEDS], cwd=ROOT, capture_output=True, timeout=PATIENCE_S)
    except OSError:
        return False
    return done.returncode == 0


def others() -> list[str]:
    """Return the interpreters in PATH, of other supported versions than this one, that work."""
    names = [f"python3.{version}" for version in SUPPORTED if version != sys.version_info[1]]
    return [path for name in names if (path := shutil.which(name)) and works(path)]
