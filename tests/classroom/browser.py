"""What a browser does, without one: joining, the learner's terminal with its numbered input, and the board."""

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

import aiohttp
import pyte

from tests.waiting import PATIENCE_S


class Browser:
    """A browser with its own cookies. Use it as `async with`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": address})

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close()

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        """Send a request; returns the status and the answer."""
        async with self.session.post(self.address + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.address + path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def join(self, code: str, name: str) -> str:
        """Join; returns the resume code."""
        status, said = await self.post("/join", {"code": code, "name": name})
        assert status == 200, said
        return str(said["resume"])

    async def enter_as_teacher(self, link: str) -> None:
        status, said = await self.post("/teacher/enter", {"token": link.partition("#")[2]})
        assert status == 200, said

    async def do(self, action: str, **more: Any) -> dict[str, Any]:
        """Do something on the board."""
        status, said = await self.post("/board/do", {"action": action, **more})
        assert status == 200, said
        return said

    async def digest(self, holds: Callable[[dict[str, Any]], Any], what: str, lesson: str = "") -> dict[str, Any]:
        """Wait for a digest of the board for which a condition holds."""
        async with (
            asyncio.timeout(PATIENCE_S),
            self.session.get(f"{self.address}/board/events?lesson={lesson}") as got,
        ):
            assert got.status == 200
            async for line in got.content:
                if line.startswith(b"data: ") and holds(digest := json.loads(line[6:])):
                    return dict(digest)
        raise AssertionError(f"never came: {what}")

    def page(self, path: str = "/socket") -> "Page":
        return Page(self, path)


class Page:
    """The page with a terminal: what it shows, and input that is sent again until it is taken."""

    def __init__(self, browser: Browser, path: str, columns: int = 100, rows: int = 30) -> None:
        self.browser, self.path = browser, path
        self.id = secrets.token_hex(8)
        self.size = [columns, rows]
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.told: dict[str, Any] = {}
        self.session = ""
        self.sent = 0
        self.waiting: list[dict[str, Any]] = []
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.bytes = 0
        self.frame = asyncio.Event()
        self.messages = 0  # in both directions
        self.cut_after = 0  # the message after which the connection is lost
        self.was_cut = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Page":
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.cut()

    async def connect(self) -> None:
        url = self.browser.address.replace("http", "ws", 1) + self.path
        self.screen.reset()
        self.told = {}
        self.socket = await self.browser.session.ws_connect(url, max_msg_size=0)
        self._reader = asyncio.create_task(self._read(self.socket))
        await self.tell({"page": self.id, "size": self.size})
        await self.until(lambda: self.told.keys() & {"hello", "refused", "closed"}, "hello")
        if "closed" in self.told and "hello" not in self.told and "refused" not in self.told:
            raise ConnectionError("the connection was lost at once")
        if self.session not in ("", self.told.get("hello")):  # what was typed belongs to the screen of an earlier one
            self.sent, self.waiting = 0, []
        self.session = self.told.get("hello", "")
        for each in list(self.waiting):
            await self.tell(each)

    async def cut(self) -> None:
        """Lose the connection."""
        if self.socket is not None:
            await self.socket.close()
        if self._reader is not None:
            self._reader.cancel()
        self.socket = None

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.bytes += len(message.data)
                self.stream.feed(message.data)
            else:
                said = json.loads(message.data)
                self.told |= said
                if "got" in said:
                    self.waiting = [each for each in self.waiting if each["i"] > said["got"]]
            self.frame.set()
            self._count()
        self.told["closed"] = True
        self.frame.set()

    async def tell(self, message: dict[str, Any]) -> None:
        if self.socket is not None and not self.socket.closed:
            try:
                await self.socket.send_json(message)
            except ConnectionError:
                return
            self._count()

    def _count(self) -> None:
        """Count a message, and lose the connection after the one that was chosen."""
        self.messages += 1
        if self.messages == self.cut_after and self.socket is not None:
            self.socket._conn.transport.abort()  # nothing more is sent, not even a goodbye
            self.was_cut.set()

    async def stay_connected(self) -> None:
        """Connect again when the connection is lost, as the page does."""
        await self.was_cut.wait()
        await self.cut()
        await self.connect()

    async def type(self, text: str) -> None:
        """Type; kept until the hub has taken it."""
        self.sent += 1
        message = {"i": self.sent, "d": text}
        self.waiting.append(message)
        await self.tell(message)

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    self.frame.clear()
                    await self.frame.wait()
        except TimeoutError:
            raise AssertionError(f"never came: {what}; told {self.told}; the screen:\n{self.text()}") from None

    async def show(self, text: str) -> None:
        """Wait until the screen shows a text."""
        await self.until(lambda: text in self.text(), text)
