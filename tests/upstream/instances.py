"""Run Redis's own Sentinel suite, which starts five Sentinels and five servers, against ours.

    python -m tests.upstream.instances SOURCE [--server COMMAND] [--sentinel COMMAND] [--limit SECONDS]
                                       [--logs FOLDER] [--option=OPTION …] [FILE …]

SOURCE is an unpacked Redis 7.2 source tree. Only its tests are used, in a copy; of a built tree the tools too
(redis-cli), else those in PATH. Needs tclsh 8.5 or newer. FILE is named as the suite does (`00-base`); without any,
all are run, each in a suite of its own: one that fails would end those after it. `--server` and `--sentinel` name
other programs to run in the place of ours: a real redis-server under our Sentinels, or our servers under real ones.
The suite uses ports from 20000 and from 30000 on, so only one can run on a machine.

Prints a row a file: how many tests passed and failed. Exit status 1 when one failed.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.upstream.__main__ import ROOT
from tests.upstream.running import link_tools, run

SUITE = "sentinel"
TOOLS = ("redis-cli", "redis-benchmark")


def ours(sentinel: bool) -> str:
    """Return the text of a program that runs ours."""
    return (
        f"#!{sys.executable}\nimport sys\n\nsys.path.insert(0, {str(ROOT)!r})\n\n"
        f"from engine.live.server import main\n\nsys.exit(main(sys.argv[1:], sentinel={sentinel}))\n"
    )


def prepare(source: Path, folder: Path, server: str, sentinel: str) -> None:
    """Copy what is needed of the suite, with the programs to test in the place of Redis's."""
    for name in ("tests", "utils"):
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("tmp"))
    shutil.copy(source / f"runtest-{SUITE}", folder)
    (folder / "tests" / SUITE / "tmp").mkdir()
    (folder / "src").mkdir()
    for name, command, text in (
        ("redis-server", server, ours(sentinel=False)),
        ("redis-sentinel", sentinel, ours(sentinel=True)),
    ):
        program = folder / "src" / name
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n' if command else text)
        program.chmod(0o755)
    link_tools(source, folder / "src", TOOLS)


def play(folder: Path, file: str, limit: int, log: Path, extra: list[str]) -> tuple[int, int, int | None]:
    """Run one file; return how many tests passed and failed, and the exit status (None: took too long)."""
    text, status = run([f"./runtest-{SUITE}", "--single", file, *extra], folder, limit, log)
    passed = len(re.findall(r": OK$", text, re.MULTILINE))
    failed = len(re.findall(r"FAILED|\[exception\]", text))
    return passed, failed, status


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream.instances")
    parser.add_argument("source", type=Path)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--server", default="", help="a command that takes redis-server's arguments, not ours")
    parser.add_argument("--sentinel", default="", help="a command that takes redis-sentinel's arguments, not ours")
    parser.add_argument("--limit", type=int, default=600, help="seconds for one file")
    parser.add_argument("--logs", type=Path, help="where the suite's output goes, one file each")
    parser.add_argument("--option", action="append", default=[], help="an option of the suite's own")
    options = parser.parse_intermixed_args()
    tests = options.source / "tests" / SUITE / "tests"
    if not tests.is_dir():
        parser.error(f"{options.source} is not an unpacked Redis source tree")
    if not any(shutil.which(name) for name in ("tclsh8.5", "tclsh8.6", "tclsh8.7")):
        parser.error("tclsh is not found; the suite is written in Tcl")
    all_passed = failed_files = 0
    for file in options.files or sorted(path.stem for path in tests.glob("*.tcl")):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="upstream-") as name:
            folder = Path(name)
            prepare(options.source, folder, options.server, options.sentinel)
            logs = options.logs or folder
            logs.mkdir(parents=True, exist_ok=True)
            log = logs / f"{SUITE}-{file}.log"
            passed, failed, status = play(folder, file, options.limit, log, options.option)
        all_passed += passed
        failed_files += failed > 0 or status != 0
        ended = "too long" if status is None else f"status {status}"
        took = time.monotonic() - started
        print(f"{file:34} {passed:4} passed  {failed:3} failed  {ended:9} {took:4.0f} s", flush=True)
    print(f"{all_passed} passed")
    return 1 if failed_files else 0


if __name__ == "__main__":
    sys.exit(main())
