"""`redis-tutor`, and `python -m tutor`.

`serve` and `cli` parse their arguments themselves, as redis-server and redis-cli do, and scripts start them often:
they go past the library that the other commands need.
"""

import sys


def main() -> None:
    """Run the command line."""
    if sys.platform == "win32":  # has no fork, no terminal modes and no Unix sockets, and imports would fail
        sys.exit("redis-tutor runs on Linux, on macOS and in WSL (the Windows Subsystem for Linux), not on Windows.")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "serve":
        from engine.live.server import main as serve

        sys.exit(serve(sys.argv[2:]))
    if name == "cli":
        from tutor.cli import main as client

        sys.exit(client(sys.argv[2:]))
    from tutor.commandline import cli

    cli()


if __name__ == "__main__":
    main()
