"""What the fork server forks for lessons: `server`, a server of its own, or `world`, simulated machines."""

from tutor.lesson_server import child, world


def main(argv: list[str]) -> int:
    """Run a program: `processes.py NAME [arguments of the program]`."""
    program = world.main if argv[0] == "world" else child.main
    return program(argv[1:])
