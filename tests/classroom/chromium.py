"""Headless Chromium, spoken to over its DevTools protocol: pages that are opened, clicked in, read and pictured."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import PATIENCE_S, wait_until

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here")


class Tab:
    """A page in a browser with cookies of its own."""

    def __init__(self, chromium: "Chromium", session: str) -> None:
        self._chromium, self._session = chromium, session

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._chromium.call(method, self._session, **parameters)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def js(self, expression: str) -> Any:
        """Evaluate a JavaScript expression."""
        said = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true; returns its value."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(AssertionError):
                        if value := await self.js(f"(v => v && typeof v === 'object' ? true : v)({expression})"):
                            return value
                    await asyncio.sleep(0)
        raise AssertionError(f"never true: {expression}; the page:\n{await self.js('document.body.innerText')}")

    async def fill(self, identifier: str, text: str) -> None:
        await self.until(f"document.getElementById({identifier!r})")
        await self.js(f"document.getElementById({identifier!r}).value = {json.dumps(text)}")

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({selector!r})")
        await self.js(f"document.querySelector({selector!r}).click()")

    async def type(self, text: str) -> None:
        """Type on the keyboard, what has the focus gets it."""
        for each in text:
            if each == "\r":
                await self.key("Enter", 13, "\r")
            else:
                await self.call("Input.insertText", text=each)

    async def key(self, name: str, code: int, text: str = "") -> None:
        await self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, text=text
        )
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    async def size(self, width: int, height: int, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path) -> None:
        said = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(said["data"]))

    async def terminal(self) -> str:
        """Return what the terminal of the page shows."""
        rows = "Array.from({length: term.rows}, (_, y) => term.buffer.active.getLine(y).translateToString(true))"
        return str(await self.js(f"(term => {rows}.join('\\n'))(window.terminal.term)"))

    async def show(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(AssertionError):
                        if text in await self.terminal():
                            return
                    await asyncio.sleep(0)
        raise AssertionError(f"never came: {text}; the terminal:\n{await self.terminal()}")


class Chromium:
    """The browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []  # of the pages' consoles
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if (future := self._answers.pop(said.get("id"), None)) is not None and not future.done():
                future.set_result(said)
            elif said.get("method") == "Log.entryAdded":
                entry = said["params"]["entry"]
                if entry["level"] == "error":
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
            elif said.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said.get("method") == "Page.javascriptDialogOpening":
                task = asyncio.create_task(self.call("Page.handleJavaScriptDialog", said["sessionId"], accept=True))
                self.complaints.append(f"dialog: {said['params']['message']}")
                self._dialog = task

    async def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = len(self._answers) + id(parameters) % 1_000_000_000
        while number in self._answers:
            number += 1
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        async with asyncio.timeout(PATIENCE_S):
            said = await future
        assert "error" not in said, said
        return said["result"]

    async def tab(self, width: int = 1200, height: int = 800, dark: bool = False) -> Tab:
        """Open a page in a context of its own."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=context)
        session = (await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        await tab.size(width, height, dark)
        return tab


@asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """Run the browser."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        command = [PROGRAM, "--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
        command += [
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file = Path(folder) / "DevToolsActivePort"
            wait_until(lambda: port_file.exists() and len(port_file.read_text().splitlines()) == 2, "Chromium runs")
            port, path = port_file.read_text().splitlines()
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
            ):
                yield Chromium(socket)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
