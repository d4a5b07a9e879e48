"""The hub is killed at random moments, under load: `python -m tests.classroom.kills --times 200 --seed 1`.

Learners type commands and reconnect by themselves. After each kill, what the hub had confirmed to a learner's tutor
must be in the store; at the end, the store and the outboxes must hold each learner's journal exactly.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import tempfile
from pathlib import Path

import aiohttp

from tests.classroom.browser import Browser, Page
from tests.classroom.conftest import ServedClass, made
from tutor.classroom.grading import runs_of
from tutor.classroom.outbox import LearnerOutbox
from tutor.classroom.store import ClassStore

LESSON = "what-redis-is"


async def learn(browser: Browser, number: int, stop: asyncio.Event) -> None:
    """Type commands for as long as the hub lives; come back when it is there again."""
    count = 0
    while not stop.is_set():
        page = browser.page()
        try:
            await page.connect()
            await _until(page, "6379>", stop, "lessons done")
            if "lessons done" in page.text():  # for the first time: later, the lesson is opened again
                await page.type("\r")
                await _until(page, "6379>", stop)
            while not stop.is_set() and not page.told.get("closed"):
                count += 1
                await page.type(f"ECHO {number}-{count}\r")
                await _until(page, f"{number}-{count}", stop)
        except (aiohttp.ClientError, ConnectionError, AssertionError, OSError):
            await asyncio.sleep(0.1)
        finally:
            with contextlib.suppress(ConnectionError):
                await page.cut()


async def _until(page: Page, text: str, stop: asyncio.Event, other: str = "") -> None:
    def holds() -> bool:
        return text in page.text() or bool(other and other in page.text()) or page.told.get("closed") or stop.is_set()

    await page.until(holds, text)
    if page.told.get("closed"):
        raise ConnectionError("the hub has gone")


def outboxes(served: ServedClass) -> dict[int, LearnerOutbox]:
    """Return the outboxes as the learners' tutors have left them."""
    return {
        int(path.parts[-3]): LearnerOutbox(path)
        for path in sorted(served.folder.glob("learners/*/class/outbox.jsonl"))
    }


def check_confirmed(served: ServedClass) -> int:
    """Check that all that was confirmed is stored; returns how many records there are."""
    store = ClassStore(served.folder / "store.sqlite3")
    last = store.last_numbers().result()
    count = len(store.records().result())
    store.close()
    for learner, box in outboxes(served).items():
        assert last.get((learner, box.id), 0) >= box.saved, (
            f"learner {learner}: {box.saved} was confirmed, {last} stored"
        )
        box.close()
    return count


def check_journals(served: ServedClass) -> None:
    """Check that the store has each learner's journal exactly, with what a learner's outbox still has to send."""
    boxes = outboxes(served)
    store = ClassStore(served.folder / "store.sqlite3")
    learners = [each.id for each in store.learners().result()]
    for learner in learners:
        path = served.folder / "learners" / str(learner) / "steps" / f"{LESSON}.jsonl"
        if not path.exists():  # the hub never lived long enough
            continue
        kept = [row for row in map(json.loads, path.read_text().splitlines()) if "journal" not in row]
        bodies = [each.body for each in store.records(learner).result()]
        bodies += boxes[learner].after(store.last_numbers().result().get((learner, boxes[learner].id), 0))
        ((_, rows),) = runs_of(bodies)[LESSON].runs
        differ = [pair for pair in itertools.zip_longest(rows, kept) if pair[0] != pair[1]]
        assert not differ, f"learner {learner}: stored, and in the journal: {differ[:3]}"
        lines = [row["line"] for row in rows if "line" in row]
        assert len(lines) == len(set(lines)), f"learner {learner}: a line is doubled"
    for box in boxes.values():
        box.close()
    store.close()


async def run(served: ServedClass, times: int, learners: int, chance: random.Random) -> int:
    """Kill and begin again; returns how many records there are at the end."""
    browsers = [served.browser() for _ in range(learners)]
    for number, browser in enumerate(browsers):
        await browser.join(served.code, f"Learner {number}")
    stop = asyncio.Event()
    tasks = [asyncio.create_task(learn(browser, number, stop)) for number, browser in enumerate(browsers)]
    count = 0
    for time in range(times):
        await asyncio.sleep(chance.uniform(0, 10))
        await asyncio.to_thread(served.kill)
        count = await asyncio.to_thread(check_confirmed, served)
        print(f"killed {time + 1} times; {count} records", flush=True)
        await asyncio.to_thread(served.begin)
    await asyncio.sleep(6)
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for browser in browsers:
        await browser.session.close()
    await asyncio.to_thread(served.end)
    count = check_confirmed(served)
    check_journals(served)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--learners", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = made(Path(folder) / "home")
        served.begin()
        try:
            count = asyncio.run(run(served, options.times, options.learners, random.Random(options.seed)))
        finally:
            served.end()
    print(f"killed {options.times} times: {count} records, nothing confirmed is missing, nothing doubled")


if __name__ == "__main__":
    main()
