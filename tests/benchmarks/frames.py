"""What a busy server does to the screen's frames: `python -m tests.benchmarks.frames`.

The sandbox is open at 160x48 while its server sleeps, while 300,000 writes come in from another process, and while a
reply of as many keys is read. A task in the program's own loop wakes every 5 ms; how late it wakes is how long a
frame is held up. Prints the worst and the 99th percentile in ms (aim: 50), and how much of it was the screen's own
work: the rest is other processes' and threads', so look at the machine's load before the figures.
"""

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time

from tutor.app import TutorApp
from tutor.lesson.sandbox import Sandbox
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import Terminal

WRITER = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for start in range(0, 300_000, 100):
    link.sendall(b"".join(b"SET key%d x\\r\\n" % i for i in range(start, start + 100)))
    read = 0
    while read < 500:
        read += len(link.recv(65536))
"""


async def late(label: str, busy: "asyncio.Event | None", seconds: float) -> None:
    """Wake every 5 ms for a while, and print how late."""
    delays: list[float] = []
    work: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until and not (busy is not None and busy.is_set()):
        before, cpu = time.monotonic(), time.thread_time()
        await asyncio.sleep(0.005)
        work.append((time.thread_time() - cpu) * 1000)
        delays.append((time.monotonic() - before - 0.005) * 1000)
    delays.sort()
    work.sort()
    at = int(len(delays) * 0.99)
    print(f"{label:24} worst {delays[-1]:6.1f} ms  99 % {delays[at]:6.1f} ms", end="")
    print(f"   own work: worst {work[-1]:6.1f} ms  99 % {work[at]:6.1f} ms")


async def main() -> None:
    """Measure and print."""
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    os.environ["REDIS_TUTOR_HOME"] = tempfile.mkdtemp(prefix="frames-")
    sys.setswitchinterval(0.001)  # these two as the program does
    gc.set_threshold(20_000, 20, 50)
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(160, 48)) as pilot:
        app.action_sandbox()
        while not (isinstance(app.screen, LessonScreen) and app.screen.step is not None):
            await pilot.pause(0.05)
        await pilot.pause(1)
        terminal, controller = app.screen.query_one(Terminal), app.screen.controller
        assert isinstance(controller, Sandbox)
        assert controller.server is not None
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        await late("idle", None, 2)
        terminal.type_line("DEBUG SLEEP 2")
        await late("server asleep", None, 2)
        await pilot.pause(0.5)
        done = asyncio.Event()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(controller.server.port)])

        async def watch() -> None:
            await asyncio.to_thread(writer.wait)
            done.set()

        watching = asyncio.ensure_future(watch())
        await late("300,000 writes", done, 60)
        await watching
        await pilot.pause(0.5)
        terminal.type_line("KEYS *")
        await late("a reply of 300,000 keys", None, 4)


if __name__ == "__main__":
    asyncio.run(main())
