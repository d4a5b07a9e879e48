"""The folders of classes: settings, the store, the learners' files, and the lock of the hub that serves the class.

data folder/classes/NAME/class.yaml        the teacher's settings; `redis-tutor class new` writes it with comments
                        /store.sqlite3     see `store.py`
                        /learners/ID/      the home of a learner's tutor: progress, journals, settings
                        /hub.json          while a hub runs: its process ID and addresses; locked by it
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from tutor.paths import data_dir, private

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
Positive = Annotated[int, msgspec.Meta(ge=1)]
TEMPLATE = """\
# ClassSettings of this class. An option of `redis-tutor class serve` takes precedence over a line here.

# bind: 127.0.0.1       # the address to listen on; 0.0.0.0 lets other computers in
# port: 8765
# hosts: []             # names, besides the machine's own, by which browsers may address the hub
# cert: ""              # certificate and key for TLS (PEM files)
# key: ""

# store: ""             # redis://host:6379 keeps the class there, so that several hubs can serve it

# course: ""            # a folder with lessons of your own (Markdown), beside those of the tutor
# lessons: []           # the lessons of this class, in order (redis-tutor list); empty: the whole course
# deadline: ""          # such as 2027-01-31T23:59:00+01:00; what is done later is marked as late in the results
# points: 10            # of a task
# hint_cost: 0          # points that each hint costs in its task
# stuck_minutes: 5      # without progress for as long, a learner counts as stuck
# idle_minutes: 60      # without input for as long, a learner's terminal is closed; it resumes where it was

# python: false         # true opens lessons that run Python, with the rights of your account
# memory_mb: 400        # what each process of a learner may use
# learner_mb: 800       # what a learner's processes may use together
# processes: 64         # how many a learner may have
# busy_seconds: 180     # a server that computes for as long without a pause (an endless script) is ended
# disk_mb: 64           # what a learner's folder may hold
# total_mb: 0           # what all learners together may use; 0: three quarters of what is free at the start
"""


class ClassError(Exception):
    """A class cannot be used, and why."""


class ClassSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings of a class: see TEMPLATE."""

    bind: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8765
    hosts: list[str] = []
    cert: str = ""
    key: str = ""
    store: str = ""
    course: str = ""
    lessons: list[str] = []
    deadline: str = ""
    points: Annotated[int, msgspec.Meta(ge=0)] = 10
    hint_cost: Annotated[int, msgspec.Meta(ge=0)] = 0
    stuck_minutes: Positive = 5
    idle_minutes: Positive = 60
    python: bool = False
    memory_mb: Annotated[int, msgspec.Meta(ge=200)] = 400
    learner_mb: Annotated[int, msgspec.Meta(ge=200)] = 800
    processes: Annotated[int, msgspec.Meta(ge=8)] = 64
    busy_seconds: Annotated[int, msgspec.Meta(ge=10)] = 180
    disk_mb: Positive = 64
    total_mb: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def ends(self) -> datetime | None:
        """The deadline. Raises ClassError."""
        if not self.deadline:
            return None
        try:
            when = datetime.fromisoformat(self.deadline)
        except ValueError:
            raise ClassError(f"deadline {self.deadline!r} is not a time such as 2027-01-31T23:59:00+01:00") from None
        if when.tzinfo is None:
            raise ClassError(f"deadline {self.deadline!r} has no time zone; add one, such as +01:00")
        return when


def classes_dir() -> Path:
    """Return the folder of all classes."""
    return data_dir() / "classes"


class ClassFolder:
    """The folder of one class."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.store = path / "store.sqlite3"
        self.state = path / "hub.json"
        self._lock: int | None = None

    @classmethod
    def create(cls, name: str) -> "ClassFolder":
        """Make a class. Raises ClassError."""
        if not NAME.fullmatch(name):
            raise ClassError(f"{name!r} is not a name for a class: letters, digits, - _ and ., at most 40")
        path = classes_dir() / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(mode=0o700)
            with open(path / "class.yaml", "w", encoding="utf-8", opener=private) as file:
                file.write(TEMPLATE)
        except FileExistsError:
            raise ClassError(f"the class {name} already exists") from None
        except OSError as error:
            raise ClassError(f"{path} cannot be made: {error.strerror}") from error
        return cls(path)

    @classmethod
    def find(cls, name: str = "") -> "ClassFolder":
        """Return the class with a name, or the only one there is. Raises ClassError."""
        found = every_class()
        if not name:
            if len(found) == 1:
                return found[0]
            names = ", ".join(each.name for each in found)
            raise ClassError(
                f"name one of the classes: {names}" if names else "there is no class: redis-tutor class new NAME"
            )
        for each in found:
            if each.name == name:
                return each
        raise ClassError(f"there is no class {name!r}: redis-tutor class list")

    def settings(self, **options: Any) -> ClassSettings:
        """Return the settings, with options that take precedence. Raises ClassError."""
        path = self.path / "class.yaml"
        try:
            data = yaml.safe_load(path.read_text("utf-8")) if path.exists() else None
            if isinstance(data, dict) and isinstance(data.get("deadline"), date):  # as YAML reads it
                data["deadline"] = data["deadline"].isoformat()
            settings = msgspec.convert({} if data is None else data, ClassSettings)
            settings = msgspec.convert(
                msgspec.to_builtins(settings) | {name: value for name, value in options.items() if value is not None},
                ClassSettings,
            )
        except yaml.YAMLError as error:
            raise ClassError(f"{path}: {' '.join(str(error).split())}") from error
        except (OSError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise ClassError(f"{path}: {error}") from error
        settings.ends  # noqa: B018 - raises
        if bool(settings.cert) != bool(settings.key):
            raise ClassError("TLS needs both a certificate and a key: --cert FILE --key FILE")
        return settings

    def keep_store(self, url: str) -> None:
        """Write the address of the store into the settings; empty: the file. Raises ClassError."""
        path = self.path / "class.yaml"
        line = f"store: {json.dumps(url)}\n" if url else ""
        try:
            text = path.read_text("utf-8")
            changed, count = re.subn(r"^store:.*\n?", lambda _: line, text, flags=re.MULTILINE)
            changed = changed if count else text + ("" if text.endswith("\n") or not text else "\n") + line
            with open(path, "w", encoding="utf-8", opener=private) as file:
                file.write(changed)
        except OSError as error:
            raise ClassError(f"{path}: {error.strerror}") from error

    def home(self, learner: int) -> Path:
        """Return the folder of a learner's tutor."""
        return self.path / "learners" / str(learner)

    def remove_home(self, learner: int) -> None:
        """Remove the folder of a learner's tutor."""
        shutil.rmtree(self.home(learner), ignore_errors=True)

    # -- the hub

    def lock(self) -> None:
        """Become the hub of this class. Raises ClassError if another one runs."""
        self._lock = os.open(self.path / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()
            where = ", ".join(self.running().get("addresses", []))
            raise ClassError(f"the class {self.name} is served already{f' at {where}' if where else ''}") from None

    def unlock(self) -> None:
        """Be the hub no more."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def say_running(self, addresses: list[str]) -> None:
        """Say where the hub is."""
        with open(self.state, "w", encoding="utf-8", opener=private) as file:
            json.dump({"pid": os.getpid(), "addresses": addresses}, file)

    def running(self) -> dict[str, Any]:
        """Return process ID and addresses of the hub that serves this class; empty if there is none."""
        with contextlib.suppress(OSError, ValueError), _probe(self.path / "hub.lock") as is_free:
            if not is_free:
                state = json.loads(self.state.read_text("utf-8"))
                if isinstance(state, dict) and isinstance(state.get("pid"), int):
                    return state
        return {}


@contextlib.contextmanager
def _probe(path: Path) -> Iterator[bool]:
    """Tell whether nobody holds a lock. Raises OSError if there is no file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def every_class() -> list[ClassFolder]:
    """Return all classes, by name."""
    with contextlib.suppress(OSError):
        return [ClassFolder(path) for path in sorted(classes_dir().iterdir()) if (path / "class.yaml").exists()]
    return []
