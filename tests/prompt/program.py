"""A process that becomes any program."""

import os


def main(argv: list[str]) -> int:
    """Execute the program `argv`."""
    os.execv(argv[0], argv)
