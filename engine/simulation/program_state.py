"""The client programs of a world as plain values: what each does, where, and what was counted (see `programs`)."""

from typing import NamedTuple

from engine.sentinel.process import SentinelNode
from engine.simulation.application import Application
from engine.simulation.connection import RUNNING
from engine.simulation.programs import JobConsumer, JobProducer, Locker, Reader, all_programs
from engine.simulation.world import World
from engine.values.list import ListValue


class ProgramCount(NamedTuple):
    """Something that is counted about a program."""

    name: str
    number: int
    is_bad: bool = False  # if there is any


class ProgramView(NamedTuple):
    """A program, and what it did and is doing."""

    name: str
    kind: str
    state: str  # up, paused, down
    key: str  # the writer that it reads, its queue, or its lock
    does: str
    target: str  # the address that it talks to
    asks: bool  # whether it asks Sentinels
    now: str  # what it has at present: a job, a lock
    counts: tuple[ProgramCount, ...]
    error: str


def program_views(world: World) -> list[ProgramView]:
    """Return every program but those that only write (`state.application_views`)."""
    views: list[ProgramView] = []
    for app in world.applications.values():
        if isinstance(app, Reader | JobProducer | JobConsumer | Locker):
            key, now, counts = _told(world, app)
            views.append(ProgramView(
                app.name, app.kind, app.state, key, app.does, app.target, bool(app.sentinels), now,
                (*counts, ProgramCount("failed", app.failed, True)), app.error,
            ))  # fmt: skip
    return views


def _told(
    world: World, app: Reader | JobProducer | JobConsumer | Locker
) -> tuple[str, str, tuple[ProgramCount, ...]]:
    counts: tuple[ProgramCount, ...]
    if isinstance(app, Reader):
        counts = (
            ProgramCount("reads", app.reads_done),
            ProgramCount("stale", app.stale, True),
            ProgramCount("back in time", app.back, True),
        )
        return app.of, f"last read {app.last}", counts
    if isinstance(app, JobProducer):
        done, waiting = _fate(world, app.queue)
        mine = [app.job(number) for number in app.acknowledged]
        lost = sum(job not in done and job not in waiting for job in mine)
        return app.queue, "", (ProgramCount("jobs queued", len(mine)), ProgramCount("lost", lost, True))
    if isinstance(app, JobConsumer):
        now = f"does {app.job.decode('utf-8', 'replace')}" if app.job and app.state == RUNNING else ""
        return app.queue, now, (ProgramCount("jobs done", len(app.jobs)), ProgramCount("again", app.twice, True))
    counts = (
        ProgramCount("taken", app.taken),
        ProgramCount("used", app.used),
        ProgramCount("with another owner", app.owners, True),
        ProgramCount("refused by fencing", app.rejected, True),
        ProgramCount("used unowned", app.unowned, True),
        ProgramCount("expired", app.expired, True),
    )
    now = (f"owns it, token {app.token}" if app.token else "owns it") if app.holds else ""
    return app.lock, now, counts


def _fate(world: World, queue: str) -> tuple[set[bytes], set[bytes]]:
    """Return the jobs that were done, and those that a node has, in the queue or in a consumer's hand."""
    done: set[bytes] = set()
    waiting: set[bytes] = set()
    for each in all_programs(world):
        if isinstance(each, JobConsumer) and each.queue == queue:
            done.update(each.jobs)
            waiting.add(each.job)
    name = queue.encode()
    for host in world.hosts.values():
        if host.node is None or isinstance(host.node, SentinelNode):
            continue
        for key, value in host.node.space.databases[0].items():
            if isinstance(value, ListValue) and (key == name or key.startswith(name + b":")):
                waiting.update(bytes(each) for each in value)
    return done, waiting


def is_writer(world: World, name: str) -> bool:
    """Return whether there is a program of a name that only writes, to one list."""
    return type(world.applications.get(name)) is Application


__all__ = ["ProgramCount", "ProgramView", "is_writer", "program_views"]
