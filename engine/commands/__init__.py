"""The commands, one module per group; importing them fills the command table."""

from importlib import import_module
from pkgutil import iter_modules


def load_all() -> None:
    """Import every module of this package."""
    for module in sorted(info.name for info in iter_modules(__path__)):
        import_module(f"{__name__}.{module}")
