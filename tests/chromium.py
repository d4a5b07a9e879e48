"""A headless Chromium that opens a page: what is evaluated in it, and pictures of it.

It is spoken to through a pair of pipes (the DevTools protocol, JSON that ends with a zero byte): no port, no library.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE_S, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page:
    """A page in a browser of its own. Use it as `with`."""

    def __init__(self, path: Path, width: int = 1200, height: int = 800) -> None:
        self._program = next((found for name in NAMES if (found := shutil.which(name))), "")
        if not self._program:
            pytest.skip("there is no Chromium")
        self._path, self._size = path, (width, height)
        self._last = 0
        self._rest = b""
        self.errors: list[str] = []  # uncaught exceptions in the page

    def __enter__(self) -> "Page":
        there, mine = os.pipe(), os.pipe()
        self._home = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        width, height = self._size
        arguments = [
            self._program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self._home.name}",
            f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip

        def pipes() -> None:
            """Put the ends of the browser where it looks for them: 3 to read, 4 to write."""
            reads, writes = os.dup(there[0]), os.dup(mine[1])
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self._process = subprocess.Popen(
            arguments, preexec_fn=pipes, close_fds=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there[0])
        os.close(mine[1])
        self._out, self._in = there[1], mine[0]
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Runtime.enable")
        self.call("Page.enable")
        self.call("Page.navigate", url=self._path.as_uri())
        wait_until(lambda: self.run("document.readyState") == "complete", "the page")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)  # it ends with its pipe
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            os.close(self._in)
            self._home.cleanup()

    _session = ""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(answer["params"]["exceptionDetails"]))
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._in, 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str) -> None:
        """Click an element."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def key(self, name: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name)

    def picture(self) -> bytes:
        """Return the page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])
