"""The connection from a learner's tutor to the hub that started it: JSON, an object a line, over a socket pair.

    to the hub    {"outbox": ID, "records": […]}      what the hub has not confirmed yet (`outbox.py`)
    to the tutor  {"saved": n, "outbox": ID}          records up to n are on the hub's disk
                  {"repaint": true}                   a browser was connected: draw the whole screen
                  {"say": text}                       a line from the teacher
                  {"stops": {lesson: step}}           steps that the class does not leave at the moment
                  {"help": false}                     the call for help was answered

When the hub is gone, the connection ends, and so does the tutor.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from tutor.classroom.outbox import LearnerOutbox

AT_ONCE = 200  # records in a message


class Uplink:
    """Sends the records of an outbox, and hears the hub. `hear` is called with other messages, `gone` at the end."""

    def __init__(
        self,
        channel: socket.socket,
        outbox: LearnerOutbox,
        hear: Callable[[dict[str, Any]], object],
        gone: Callable[[], object],
    ) -> None:
        self._channel, self._outbox, self._hear, self._gone = channel, outbox, hear, gone
        self._ended = False
        self._threads = [
            threading.Thread(target=target, name=f"class-{name}", daemon=True)
            for name, target in (("records", self._send), ("messages", self._receive))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        sent = self._outbox.saved
        with contextlib.suppress(OSError):
            while not self._ended:
                with self._outbox.changed:
                    while not (records := self._outbox.after(sent)) and not self._ended:
                        self._outbox.changed.wait()
                for at in range(0, len(records), AT_ONCE):
                    batch = records[at : at + AT_ONCE]
                    message = {"outbox": self._outbox.id, "records": batch}
                    self._channel.sendall(json.dumps(message).encode() + b"\n")
                    sent = batch[-1]["n"]

    def _receive(self) -> None:
        with contextlib.suppress(OSError), self._channel.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if message.get("outbox") == self._outbox.id:
                    self._outbox.confirm(int(message["saved"]))
                elif "outbox" not in message:
                    self._hear(message)
        self.close()
        self._gone()

    def wait_saved(self, seconds: float) -> bool:
        """Wait until the hub has everything; returns whether it does."""
        with self._outbox.changed:
            return self._outbox.changed.wait_for(
                lambda: self._ended or self._outbox.saved == self._outbox.last, seconds
            )

    def close(self) -> None:
        """End the connection."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        with self._outbox.changed:
            self._outbox.changed.notify_all()
