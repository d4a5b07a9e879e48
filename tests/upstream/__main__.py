"""Run the test suite of Redis itself, from an unpacked source tree, against our server.

    python -m tests.upstream SOURCE [--all] [--port N] [--limit SECONDS] [--logs FOLDER] [--option=OPTION …] [FILE …]

SOURCE is an unpacked Redis 7.2 source tree. Only its tests are used, in a copy; of a built tree the tools too
(redis-cli, redis-benchmark), else those in PATH. Needs tclsh 8.5 or newer. FILE is named as the suite does
(`unit/type/hash`); without any, all that `tests/upstream.md` lists are run. The tests that its table names are left
out: an exception in one would end its whole file. `--all` runs them too. `--option` gives an option on to the suite
(`--option=--tls`, `--option=--singledb`, `--option=--config --option=appendonly --option=yes`).

Prints a row a file: how many tests passed, failed and were left out. Exit status 1 when one failed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.real import free_port
from tests.upstream.running import link_tools, run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "tests" / "upstream.md"
TOOLS = ("redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb")
_ROW = re.compile(
    r"^\| `(?P<file>(?:unit|integration)/[^`]+)` \| (?P<test>`.+`|—) \| (?P<part>.+?) \|$", re.MULTILINE
)


def listed() -> dict[str, list[str]]:
    """Return the page's table: the files, and the names of the tests in each that are left out."""
    files: dict[str, list[str]] = {}
    for row in _ROW.finditer(PAGE.read_text()):
        names = files.setdefault(row["file"], [])
        if row["test"] != "—":
            names.append(row["test"][1:-1])
    return files


def prepare(source: Path, folder: Path, tls: bool = False) -> None:
    """Copy what is needed of the suite, with our server in the place of redis-server, and certificates for TLS."""
    for name in ("tests", "utils"):
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("tmp"))
    shutil.copy(source / "runtest", folder)
    (folder / "tests" / "tmp").mkdir()
    bin_ = folder / "src"
    bin_.mkdir()
    server = bin_ / "redis-server"
    # The name of the program stands in the title of its process: that of this file.
    server.write_text(
        f"#!{sys.executable}\nimport sys\n\nsys.path.insert(0, {str(ROOT)!r})\n\n"
        "from engine.live.server import main\n\nsys.exit(main(sys.argv[1:]))\n"
    )
    server.chmod(0o755)
    link_tools(source, bin_, TOOLS)
    if tls:
        subprocess.run(["utils/gen-test-certs.sh"], cwd=folder, check=True, capture_output=True)


def play(
    folder: Path, file: str, left_out: list[str], port: int, limit: int, log: Path, extra: list[str]
) -> tuple[int, int, int | None]:
    """Run one file; return how many tests passed and failed, and the exit status (None: took too long)."""
    command = ["./runtest", "--single", file, "--clients", "1", "--baseport", str(port), *extra]
    for name in left_out:
        command += ["--skiptest", name]
    text, status = run(command, folder, limit, log)
    passed = len(re.findall(r"^\[ok\]", text, re.MULTILINE))
    failed = len(re.findall(r"^\[(?:err|exception)\]", text, re.MULTILINE))
    return passed, failed, status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream")
    parser.add_argument("source", type=Path)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--all", action="store_true", help="also the tests that tests/upstream.md names")
    parser.add_argument("--port", type=int, help="the first port to use")
    parser.add_argument("--limit", type=int, default=600, help="seconds for one file")
    parser.add_argument("--logs", type=Path, help="where the suite's output goes, one file each")
    parser.add_argument(
        "--option", action="append", default=[], help="an option of the suite's own, as --option=--tls"
    )
    options = parser.parse_intermixed_args()
    if not (options.source / "tests" / "test_helper.tcl").exists():
        parser.error(f"{options.source} is not an unpacked Redis source tree")
    if not any(shutil.which(name) for name in ("tclsh8.5", "tclsh8.6", "tclsh8.7")):
        parser.error("tclsh is not found; the suite is written in Tcl")
    files = listed()
    failed_files = 0
    with tempfile.TemporaryDirectory(prefix="upstream-") as name:
        folder = Path(name)
        prepare(options.source, folder, "--tls" in options.option)
        logs = options.logs or folder
        logs.mkdir(parents=True, exist_ok=True)
        for file in options.files or files:
            left_out = [] if options.all else files.get(file, [])
            started = time.monotonic()
            log = logs / f"{file.replace('/', '_')}.log"
            passed, failed, status = play(
                folder, file, left_out, options.port or free_port(), options.limit, log, options.option
            )
            failed_files += failed > 0 or status != 0
            ended = "too long" if status is None else f"status {status}"
            took = time.monotonic() - started
            print(
                f"{file:34} {passed:4} passed  {failed:3} failed  {len(left_out):3} left out  {ended:9} {took:4.0f} s"
            )
            sys.stdout.flush()
    return 1 if failed_files else 0


if __name__ == "__main__":
    sys.exit(main())
