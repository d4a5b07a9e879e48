"""Where a teacher's own course is: a folder, a zip file, or a Git repository.

The last two are copied into the data folder. A zip file is unpacked once for each content. A repository is cloned,
and brought up to date whenever it is named; without a connection the copy is used. Lessons from there run no Python,
since nobody has looked at them here: set REDIS_TUTOR_NO_PYTHON to an empty value to allow it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tutor.lesson.python_process import OFF
from tutor.paths import data_dir

GIT = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+", re.ASCII)
GIT_SECONDS = 120.0
LARGEST = 200 << 20  # bytes of all files in a zip file
MOST_FILES = 10_000


class NoCourse(Exception):  # noqa: N818
    """A course cannot be used, and why."""


def course_folder(where: str) -> Path:
    """Return the folder of a course, which is fetched if it is elsewhere. Raises NoCourse."""
    path = Path(where).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_file():
        return _foreign(_unpacked(path))
    if GIT.fullmatch(where):
        return _foreign(_cloned(where))
    raise NoCourse(f"{where} is neither a folder nor a zip file, and not the address of a Git repository")


def _foreign(folder: Path) -> Path:
    os.environ.setdefault(OFF, "1")
    return folder


def _place(name: str, digest: str) -> Path:
    plain = re.sub(r"[^\w.-]", "_", name) or "course"
    return data_dir() / "courses" / f"{plain[:40]}-{digest[:12]}"


def _unpacked(path: Path) -> Path:
    """Unpack a zip file, unless that was done before; returns the folder."""
    try:
        place = _place(path.stem, hashlib.sha256(path.read_bytes()).hexdigest())
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with zipfile.ZipFile(path) as file, tempfile.TemporaryDirectory(dir=place.parent) as temporary:
                entries = file.infolist()
                if len(entries) > MOST_FILES or sum(each.file_size for each in entries) > LARGEST:
                    raise NoCourse(f"{path} holds more than {LARGEST >> 20} MB or {MOST_FILES:,} files")
                file.extractall(temporary)  # which leads out of the folder with no name, and makes no links
                os.replace(temporary, place)
                os.mkdir(temporary)  # for its end
    except zipfile.BadZipFile as error:
        raise NoCourse(f"{path} is not a zip file") from error
    except (OSError, RuntimeError, NotImplementedError) as error:  # such as a password
        raise NoCourse(f"{path} cannot be unpacked: {error}") from error
    inside = [each for each in place.iterdir() if each.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else place


def _cloned(url: str) -> Path:
    """Clone a repository, or bring its copy up to date; returns the folder."""
    if shutil.which("git") is None:
        raise NoCourse(f"{url}: git is not installed here")
    place = _place(url.rstrip("/").removesuffix(".git").rpartition("/")[2], hashlib.sha256(url.encode()).hexdigest())
    if place.exists():
        if problem := _git("-C", str(place), "pull", "--quiet", "--ff-only"):
            print(f"redis-tutor: {url} is used as it was last time: {problem}", file=sys.stderr)
        return place
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        if problem := _git("clone", "--quiet", "--depth", "1", "--", url, f"{temporary}/copy"):
            raise NoCourse(f"{url} cannot be fetched: {problem}")
        os.replace(f"{temporary}/copy", place)
    return place


def _git(*arguments: str) -> str:
    """Run git, which asks nothing; returns what went wrong."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    command = ["git", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if not done.returncode:
        return ""
    rows = done.stderr.strip().splitlines() or ["git failed"]
    return next((row.removeprefix("fatal: ") for row in rows if row.startswith("fatal: ")), rows[-1])
