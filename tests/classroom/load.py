"""A class under load: `python -m tests.classroom.load --learners 40 --seconds 60`.

Learners join at once over real WebSockets, open a lesson, and type a command every five seconds, key by key. It
prints how long it took until all had a prompt, the time from a key to its frame and from Enter to the reply, the
memory (PSS) of each learner's processes, and the processor time of the hub and of the learners. The clients run on
the same machine.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.classroom.browser import Browser
from tests.classroom.conftest import ServedClass, made
from tests.waiting import PATIENCE_S
from tutor.classroom.usage import families, memory_kb, processor_seconds

KEY_SECONDS = 0.12  # between two keys
PROMPT = b"6379>"


@dataclass
class Figures:
    """What was measured, in seconds."""

    prompts: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    boards: list[float] = field(default_factory=list)
    bytes: int = 0


class Client:
    """A learner who only looks at the bytes that arrive."""

    def __init__(self, browser: Browser, number: int, figures: Figures) -> None:
        self.browser, self.number, self.figures = browser, number, figures
        self.sent = 0
        self.seen = bytearray()
        self.arrived = asyncio.Event()
        self.socket: aiohttp.ClientWebSocketResponse

    async def connect(self) -> None:
        url = self.browser.address.replace("http", "ws", 1) + "/socket"
        self.socket = await self.browser.session.ws_connect(url, max_msg_size=0)
        self.reader = asyncio.create_task(self._read())
        await self.socket.send_json({"page": f"load{self.number}", "size": [100, 30]})

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.figures.bytes += len(message.data)
                self.seen += message.data
                del self.seen[: -(1 << 16)]
                self.arrived.set()
            elif "refused" in message.data:
                raise AssertionError(message.data)

    async def type(self, text: str) -> None:
        self.sent += 1
        await self.socket.send_json({"i": self.sent, "d": text})

    async def until(self, wanted: bytes = b"") -> None:
        """Wait for bytes, or for any frame."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.arrived.wait()
                self.arrived.clear()
                if wanted in self.seen:
                    return

    async def work(self, until: float, every: float) -> None:
        """Type a command now and then."""
        begin = time.monotonic() + every * self.number / 40 % every
        count = 0
        while (begin := begin + every) < until:
            await asyncio.sleep(max(0.0, begin - time.monotonic()))
            count += 1
            word = f"w{self.number}x{count}"
            for key in f"ECHO {word}":
                self.arrived.clear()
                at = time.monotonic()
                await self.type(key)
                await self.until()
                self.figures.keys.append(time.monotonic() - at)
                await asyncio.sleep(KEY_SECONDS)
            self.seen.clear()
            at = time.monotonic()
            await self.type("\r")
            await self.until(f'"{word}"'.encode())
            self.figures.replies.append(time.monotonic() - at)


async def board(browser: Browser, figures: Figures, until: float) -> None:
    """Read digests; each says when it was made."""
    async with browser.session.get(f"{browser.address}/board/events") as answer:
        async for line in answer.content:
            if line.startswith(b"data: "):
                figures.boards.append(time.time() - json.loads(line[6:])["at"] / 1000)
            if time.monotonic() > until:
                return


async def run(served: ServedClass, learners: int, seconds: float, every: float) -> Figures:
    figures = Figures()
    browsers = [served.browser() for _ in range(learners)]
    teacher = served.browser()
    await teacher.enter_as_teacher(served.link)
    clients = [Client(browser, number, figures) for number, browser in enumerate(browsers)]

    async def come(client: Client, at: float) -> None:
        await client.browser.join(served.code, f"Learner {client.number}")
        await client.connect()
        await client.until(b"lessons done")
        await client.type("\r")
        await client.until(PROMPT)
        figures.prompts.append(time.monotonic() - at)

    start = time.monotonic()
    await asyncio.gather(*(come(each, start) for each in clients))
    print(f"prompts of {learners} learners who joined at once: {max(figures.prompts):.1f} s "
          f"(median {statistics.median(figures.prompts):.1f} s)", flush=True)  # fmt: skip
    hub = served.process.pid
    before = {pid: processor_seconds(pid) for pid in families([hub])[hub]}
    until = time.monotonic() + seconds
    reading = asyncio.create_task(board(teacher, figures, until))
    await asyncio.gather(*(each.work(until, every) for each in clients))
    family = families([hub])[hub]
    spent = {pid: processor_seconds(pid) - before.get(pid, 0.0) for pid in family}
    memory = {pid: memory_kb(pid) / 1024 for pid in family}
    print(f"key to frame:   {percentiles(figures.keys)} ({len(figures.keys)} keys)")
    print(f"Enter to reply: {percentiles(figures.replies)} ({len(figures.replies)} commands)")
    print(f"board: {len(figures.boards)} digests, {percentiles(figures.boards)} old on arrival")
    print(
        f"memory (PSS): hub {memory[hub]:.0f} MB, a learner {(sum(memory.values()) - memory[hub]) / learners:.1f} MB"
    )
    learners_s = sum(spent.values()) - spent[hub]
    print(f"processor: hub {spent[hub] / seconds:.0%} of a core, learners {learners_s / seconds:.0%}")
    print(f"output: {figures.bytes / seconds / learners / 1024:.1f} KB/s a learner")
    reading.cancel()
    for browser in (*browsers, teacher):
        await browser.session.close()
    return figures


def percentiles(values: list[float]) -> str:
    """Return the median, the 95th percentile and the maximum."""
    ordered = sorted(values)
    chosen = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)], ordered[-1])
    return "median {:.0f} ms, p95 {:.0f} ms, max {:.0f} ms".format(*(each * 1000 for each in chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=5, help="seconds between two commands of a learner")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = made(Path(folder) / "home")
        served.begin()
        try:
            asyncio.run(run(served, options.learners, options.seconds, options.every))
        finally:
            served.end()


if __name__ == "__main__":
    main()
