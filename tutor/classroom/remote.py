"""A learner's own computer in a class: signing in at the hub, and sending what is done in the tutor there.

What the learner does is in an outbox (`outbox.py`), which is sent every few seconds until the hub has it on disk.
Without a connection, everything goes on; the records are sent when the hub is there again, also days later.
"""

import contextlib
import hashlib
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tutor.classroom.codes import RESUME_LENGTH, read_code
from tutor.classroom.outbox import LearnerOutbox
from tutor.paths import data_dir, private

REQUEST_SECONDS = 10.0
EVERY_SECONDS = 5.0  # between requests when there is nothing to send
LONGEST_SECONDS = 30.0  # between attempts while the hub does not answer
AT_ONCE = 200  # records in a request


class CannotJoin(Exception):  # noqa: N818
    """The class cannot be joined, and why."""


@dataclass
class Membership:
    """What this computer knows of a class that it has joined."""

    address: str
    name: str
    token: str
    lessons: list[str] = field(default_factory=list)


class RemoteClass:
    """A class at an address. `cafile` holds the certificate of a hub that systems do not trust."""

    def __init__(self, address: str, cafile: str = "") -> None:
        """Take note of the address. Raises CannotJoin."""
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CannotJoin(f"{address!r} is not an address such as http://host:8765")
        self.address = f"{parts.scheme}://{parts.netloc.lower()}"
        self.folder = data_dir() / "joined" / hashlib.sha256(self.address.encode()).hexdigest()[:16]
        self.member: Membership | None = None
        self._context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=cafile or None)
            except OSError as error:
                raise CannotJoin(f"{cafile}: {error.strerror or error}") from error
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.member = Membership(**json.loads((self.folder / "class.json").read_text("utf-8")))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request. Raises CannotJoin with the hub's reason, OSError if there is no connection."""
        headers = {"Content-Type": "application/json", "Origin": self.address}
        if self.member is not None:
            headers["Authorization"] = f"Bearer {self.member.token}"
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=self._context) as answer:
                said = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            try:
                reason = str(json.loads(error.read())["problem"])
            except (ValueError, KeyError, TypeError):
                reason = f"the hub answered {error.code}"
            if error.code == 503:  # it cannot save at the moment
                raise OSError(reason) from error
            raise CannotJoin(reason) from error
        except ValueError as error:
            raise CannotJoin(f"{self.address} is not the hub of a class") from error
        if not isinstance(said, dict):
            raise CannotJoin(f"{self.address} is not the hub of a class")
        return said

    def sign_in(self, read: Callable[[str], str | None], write: Callable[[str], object]) -> None:
        """Join with the code of the class and a name, or with a personal code. Raises CannotJoin, OSError."""
        code = read("Code of the class, or your personal code: ") or ""
        if len(read_code(code)) == RESUME_LENGTH:
            said = self.post("/resume", {"code": code, "token": True})
        else:
            name = read("Your name: ") or ""
            name = str(self.post("/check", {"code": code, "name": name})["name"])
            answer = read(f"You join as {name}; the teacher sees this name. Right? (yes/no) ") or ""
            if answer.strip().lower() not in ("yes", "y"):
                raise CannotJoin("you have not joined")
            said = self.post("/join", {"code": code, "name": name, "token": True})
            write(f"Your personal code is {said['resume']}. With it you continue on any computer.")
        self.member = Membership(self.address, str(said["name"]), str(said["token"]))
        self.keep()

    def keep(self) -> None:
        """Write down what this computer knows of the class."""
        if self.member is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.folder / f"class.json.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8", opener=private) as file:
            json.dump(asdict(self.member), file)
        os.replace(temporary, self.folder / "class.json")

    def outbox(self) -> LearnerOutbox:
        """Open the outbox for this class. Raises OSError."""
        return LearnerOutbox(Path(self.folder) / "outbox.jsonl")


class RemoteUplink:
    """Sends the records of an outbox to the hub. `hear` is called with its messages, `tell` with the state."""

    def __init__(
        self,
        hub: RemoteClass,
        outbox: LearnerOutbox,
        hear: Callable[[dict[str, Any]], object],
        tell: Callable[[str], object],
    ) -> None:
        self._hub, self._outbox, self._hear, self._tell = hub, outbox, hear, tell
        self._ended = threading.Event()
        self.signed_out = False  # by the teacher, or since the token has expired
        self._heard: int | None = None  # the number of the teacher's last line
        self._stops: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="class-records", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._ended.wait(wait_s):
            try:
                self.send()
                wait_s = 0.0
            except CannotJoin as problem:  # signed out: the records are kept for the next time
                self.signed_out = True
                self._hear({"signed_out": str(problem)})
                self._tell(f"not in the class: {problem}")
                return
            except OSError:
                wait_s = min(LONGEST_SECONDS, max(1.0, wait_s * 2))
            self._tell(self.state())
            if not wait_s:
                with self._outbox.changed:
                    if not self._outbox.after(self._outbox.saved) and not self._ended.is_set():
                        self._outbox.changed.wait(EVERY_SECONDS)

    def send(self) -> None:
        """Send what the hub does not have, and hear what it says. Raises OSError, CannotJoin."""
        records = self._outbox.after(self._outbox.saved)[:AT_ONCE]
        said = self._hub.post("/records", {"outbox": self._outbox.id, "records": records, "heard": self._heard})
        self._outbox.confirm(int(said["saved"]))
        for line in said["lines"] if self._heard is not None else ():
            self._hear({"say": line})
        self._heard = int(said["heard"])
        if said["stops"] != self._stops:
            self._stops = said["stops"]
            self._hear({"stops": self._stops})
        if self._hub.member is not None and self._hub.member.lessons != said["lessons"]:
            self._hub.member.lessons = list(said["lessons"])
            self._hub.keep()

    def state(self) -> str:
        """Return since when everything is saved by the hub, or for how long it is not."""
        if since := self._outbox.failing_since:
            minutes = int((time.time() - since) / 60)
            return f"not saved by the hub for {minutes} min" if minutes else "not saved by the hub yet"
        at = self._outbox.saved_at
        return f"saved by the hub {time.strftime('%H:%M', time.localtime(at))}" if at else "nothing to save"

    def close(self) -> None:
        """Send once more what is there, and end."""
        self._ended.set()
        with self._outbox.changed:
            self._outbox.changed.notify_all()
        with contextlib.suppress(OSError, CannotJoin):
            while self._outbox.after(self._outbox.saved):
                self.send()
