"""The learner's own dump or append-only file, made into a dump that the sandbox can load. The file is only read.

A server of its own loads a copy of it, as a server loads such files when it starts, and saves what it holds. So every
kind of file that the server can start from can be opened, a file that it refuses is refused with its reason, and
nothing is loaded into the sandbox before all of it has been read.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.persistence.aof.manifest import MANIFEST_SUFFIX, ManifestError, parse_manifest
from tutor.client import Connection, LinkError

MAX_BYTES = 512 << 20
LOAD_SECONDS = 300.0
POLL_SECONDS = 0.02
_MAGIC = b"REDIS"
START_BYTES = 200  # by which the kind of a file is told
_AOF = re.compile(rb"\*|#[^\n]*\r\n")  # a command, or a comment such as #TS:1700000000
# What the server logs about a file, and how the place is told.
_PLACES = (
    (re.compile(r"Internal error in RDB reading offset (\d+) -> (.+)"), r"at byte \1: \2"),
    (re.compile(r"AOF file \S+, offset (\d+): (.+)"), r"at byte \1: \2"),
    (re.compile(r"Unexpected end of file reading the append only file (\S+)\..*"), r"\1 ends in the middle"),
)
_BOILERPLATE = re.compile(r"^(Fatal error loading|Bad file format|Error reading the RDB|Terminating)")
_CUT = re.compile(r"!!! Truncating the AOF \S+ at offset (\d+) !!!")
_EXPIRED = re.compile(r"keys loaded: \d+, keys expired: (\d+)")


class CannotLoad(Exception):  # noqa: N818
    """A file cannot be loaded: why, and where in it."""


def make_dump(name: str, target: Path) -> str:
    """Save what a file holds as a dump; returns what is to be said about it. Raises CannotLoad."""
    file = _found(Path(os.path.expanduser(name)))
    with tempfile.TemporaryDirectory(prefix="redis-tutor-") as folder:
        try:
            options = _copied(file, Path(folder))
        except OSError as error:
            raise CannotLoad(f"{name} cannot be read: {error.strerror}.") from error
        said = _load_and_save(name, Path(folder), options)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(Path(folder, "dump.rdb"), temporary)
        temporary.chmod(0o600)
        os.replace(temporary, target)
    return said


def _found(file: Path) -> Path:
    """Return the file itself; of a folder, its manifest."""
    if file.is_dir():
        manifests = sorted(file.glob(f"*{MANIFEST_SUFFIX}"))
        if len(manifests) != 1:
            raise CannotLoad(f"{file} is a folder with {len(manifests)} manifests; name the file to load.")
        return manifests[0]
    if not file.exists():
        raise CannotLoad(f"{file} does not exist.")
    if not file.is_file():
        raise CannotLoad(f"{file} is not a file.")
    return file


def _copied(file: Path, folder: Path) -> list[str]:
    """Copy a file to where a server looks for it; returns that server's options."""
    if file.name.endswith(MANIFEST_SUFFIX):
        return _copy_parts(file, folder)
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise CannotLoad(f"{file} has {size:,} bytes; at most {MAX_BYTES:,} can be loaded.")
    with file.open("rb") as opened:
        start = opened.read(START_BYTES)
    if not start:
        raise CannotLoad(f"{file} is empty.")
    head = start[: len(_MAGIC)]
    is_dump = head == _MAGIC and file.suffix != ".aof"
    if head != _MAGIC and not _AOF.match(start):
        raise CannotLoad(
            f"{file} is neither a dump nor an append-only file: a dump begins with REDIS, an append-only file with "
            f"* or #, and this one with {head.decode(errors='backslashreplace')!r}."
        )
    shutil.copyfile(file, folder / ("dump.rdb" if is_dump else "appendonly.aof"))
    return [] if is_dump else ["--appendonly", "yes"]


def _copy_parts(file: Path, folder: Path) -> list[str]:
    """Copy a manifest and the files that it names."""
    try:
        manifest = parse_manifest(file.read_bytes())
    except ManifestError as error:
        where = f" in line {error.number}" if error.number else ""
        raise CannotLoad(f"{file} cannot be loaded: {error.reason}{where}.") from error
    parts = [file.with_name(each.name) for each in manifest.loaded]
    missing = [each.name for each in parts if not each.is_file()]
    if missing:
        raise CannotLoad(f"{file} cannot be loaded: {missing[0]}, which it names, is not in the same folder.")
    size = sum(each.stat().st_size for each in parts)
    if size > MAX_BYTES:
        raise CannotLoad(f"The files of {file} have {size:,} bytes; at most {MAX_BYTES:,} can be loaded.")
    inner = folder / "appendonlydir"
    inner.mkdir()
    for each in (file, *parts):
        shutil.copyfile(each, inner / each.name)
    return ["--appendonly", "yes", "--appendfilename", file.name.removesuffix(MANIFEST_SUFFIX)]


def _load_and_save(name: str, folder: Path, options: list[str]) -> str:
    """Start a server on the copy, and have it save a dump."""
    path, log = folder / "s", folder / "log"
    command = [
        sys.executable, "-m", "tutor", "serve", "--port", "0", "--unixsocket", str(path), "--dir", str(folder),
        "--logfile", str(log), "--save", "", "--databases", "16384", *options,
    ]  # fmt: skip
    root = Path(__file__).resolve().parent.parent.parent
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    }
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _save(process, path)
    except (LinkError, TimeoutError):
        process.kill()
        process.wait()
        raise CannotLoad(f"{name} cannot be loaded: {_reason(_read(log))}.") from None
    finally:
        process.kill()
        process.wait()
    return _remarks(_read(log))


def _save(process: "subprocess.Popen[bytes]", path: Path) -> None:
    """Wait until a server has loaded its files, and save. Raises LinkError when it ends before that."""
    until = time.monotonic() + LOAD_SECONDS
    while True:
        try:
            connection = Connection.unix(str(path), timeout=LOAD_SECONDS)
            break
        except LinkError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
    try:
        while (reply := connection.call(b"SAVE")) != b"OK":
            if time.monotonic() > until:
                raise TimeoutError
            if not getattr(reply, "text", b"").startswith(b"LOADING"):
                raise LinkError("the dump cannot be saved")
            time.sleep(POLL_SECONDS)
    finally:
        connection.close()


def _read(log: Path) -> list[str]:
    """Return what a server logged, without time and process."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return [line.split(" ", 6)[-1] if line.count(" ") > 5 else line for line in text.splitlines()]


def _reason(lines: list[str]) -> str:
    for pattern, told in _PLACES:
        for line in lines:
            if found := pattern.search(line):
                return found.expand(told).rstrip(".")
    said = [line for line in lines if not _BOILERPLATE.match(line)]
    return (said[-1] if said else "its server ended").rstrip(".")


def _remarks(lines: list[str]) -> str:
    """Return what the learner should know about a file that was loaded."""
    said = []
    for line in lines:
        if found := _CUT.search(line):
            said.append(f"The file ends in the middle of a command: what follows byte {found[1]} was left out.")
        elif (found := _EXPIRED.search(line)) and (count := int(found[1])):
            said.append(
                f"{count:,} {'key' if count == 1 else 'keys'} had expired and {'is' if count == 1 else 'are'} gone."
            )
    return " ".join(said)
