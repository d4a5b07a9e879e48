"""A scenario on a history: its nodes are put up, and its steps are done one after the other.

After each step what the scenario expects is compared with what is so; `wrong` are the differences, in words. The
learner may do anything in between: the runner only acts when it is asked for its next step.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.simulation import actions
from engine.simulation.actions import PROMPT
from engine.simulation.application import WRITING
from engine.simulation.cluster_state import ClusterView, WriterView, cluster_views, writer_views
from engine.simulation.history import History
from engine.simulation.state import (
    ApplicationView,
    BeliefView,
    NodeView,
    application_views,
    belief_views,
    data_of,
    node_views,
)
from engine.simulation.trace import Delivered, Logged, TraceEvent
from tutor.lab.actions import line_work
from tutor.lab.clusters import unmet_by_cluster, unmet_by_writer
from tutor.lab.model import Expect, ScenarioSpec, StepSpec
from tutor.lab.work import Work, WorkProgress, WorkSlice, finish, run

SECOND_US = 1_000_000
KEYS = 12  # to which an application writes in a cluster, unless its scenario names some
SETTLE_US = 20_000  # after the actions of a step: what was sent has arrived and was answered


def spec_of(history: History, title: str, summary: str) -> ScenarioSpec:
    """Return a scenario without steps for a history that has come from elsewhere."""
    clients = {name: client.host for name, client in history.world.clients.items() if not name.startswith(PROMPT)}
    return ScenarioSpec(id="", title=title, summary=summary, nodes={}, steps=(), clients=clients)


class StepSpan(NamedTuple):
    """The places at which a step began and ended."""

    began: int
    ended: int


class ScenarioRunner:
    """A scenario that is being played."""

    def __init__(
        self,
        spec: ScenarioSpec,
        seed: int | None = None,
        history: Any = None,
        resumed: bool = False,
        first_port: int = 0,
    ) -> None:
        self.spec = spec
        self.history: History = history or History(spec.seed if seed is None else seed)
        self._spans: dict[str, list[StepSpan]] = {}  # by branch: where its steps began and ended
        if not resumed:
            self.begin(first_port)

    def begin(self, first_port: int = 0) -> None:
        """Put the nodes up and start them."""
        for action in self.beginning(self.spec, first_port):
            self.history.do(action)

    @staticmethod
    def beginning(spec: ScenarioSpec, first_port: int = 0) -> Iterator[actions.Action]:
        """Yield what is done before the first step of a scenario, whose machines are on real ports from one on."""
        for name, node in spec.nodes.items():
            yield actions.AddHost(name, node.address, (*spec.node_config, *node.config))
        for name, sentinel in spec.sentinels.items():
            yield actions.AddSentinel(name, sentinel.address, (*spec.sentinel_config, *sentinel.config))
        for name, application in spec.applications.items():
            if application.cluster:
                yield actions.AddClusterApplication(
                    name,
                    tuple(spec.nodes[each].address for each in application.cluster),
                    application.keys or tuple(f"{name}:{number}" for number in range(KEYS)),
                    application.follows,
                    application.period_ms * 1000,
                )
                continue
            yield actions.AddApplication(
                name,
                tuple(spec.sentinels[each].address for each in application.asks),
                application.master,
                spec.nodes[application.writes_to].address if application.writes_to else "",
                application.period_ms * 1000,
            )
        for link in spec.links:
            yield actions.SetLink(*link.between, link.latency_ms * 1000, link.bytes_per_s)
        if first_port:
            for number, name in enumerate((*spec.nodes, *spec.sentinels)):
                yield actions.Expose(name, first_port + number)
        running = [name for name, node in spec.nodes.items() if node.started]
        running += [name for name, sentinel in spec.sentinels.items() if sentinel.started]
        for name in running:
            yield actions.Start(name)

    @property
    def spans(self) -> list[StepSpan]:
        """Where the steps of the present branch began and ended; what happened before it left its parent counts."""
        return self._spans_of(self.history.branch_name)

    def _spans_of(self, name: str) -> list[StepSpan]:
        spans = self._spans.get(name)
        if spans is None:
            branch = self.history.branches[name]
            fork = branch.fork.happened
            inherited = self._spans_of(branch.parent) if branch.parent else []
            spans = [StepSpan(span.began, min(span.ended, fork)) for span in inherited if span.began < fork]
            self._spans[name] = spans
        return spans

    @property
    def kept_spans(self) -> dict[str, list[tuple[int, int]]]:
        """Where the steps of each branch began and ended, as a file keeps it."""
        return {name: [(span.began, span.ended) for span in self._spans_of(name)] for name in self.history.branches}

    def take_spans(self, kept: dict[str, list[tuple[int, int]]]) -> None:
        """Take over where steps began and ended, from a file."""
        for name, spans in kept.items():
            if name in self.history.branches:
                last = self.history.branches[name].counts[-1]
                self._spans[name] = [StepSpan(*span) for span in spans if 0 <= span[0] <= span[1] <= last]

    @property
    def done(self) -> int:
        """How many steps have been done, or begun, at the present place."""
        place = self.history.place
        return sum(span.began < place or span.ended <= place for span in self.spans)

    @property
    def next_step(self) -> StepSpec | None:
        """The step that comes next."""
        return self.spec.steps[self.done] if self.done < len(self.spec.steps) else None

    def step(self) -> list[str]:
        """Do the next step; returns what is not as the scenario says."""
        return finish(self.step_work())

    def step_work(self) -> Work[list[str]]:
        """Do the next step in slices (`tutor.lab.work`); returns what is not as the scenario says.

        After going back behind a step's end, that is where it goes: what has been done is not done again.
        """
        history = self.history
        ahead = next((span.ended for span in self.spans if span.ended > history.place), None)
        if ahead is not None:
            history.goto(ahead)
            return []
        step = self.next_step
        if step is None:
            return []
        began, number = history.place, self.done + 1
        try:
            yield from self.perform(step)
        except GeneratorExit:
            self.spans.append(StepSpan(began, history.place))  # stopped: it counts as done
            raise
        self.spans.append(StepSpan(began, history.place))
        fresh = history.trace[began : history.place]
        wrong = [*differences(history, step.until), *differences(history, step.expect)]
        wrong += unheard(step, lambda client: _heard(fresh, client), lambda host: _logged(fresh, host))
        return [f"step {number}: {text}" for text in wrong]

    def perform(self, step: StepSpec) -> Work[None]:
        """Do what a step says, and wait for what it waits for, in slices (`tutor.lab.work`)."""
        history = self.history
        for line in step.do:
            yield from line_work(history, line, self.spec.clients)
        if step.do:
            yield from run(history, history.world.now_us + SETTLE_US)
        if step.run:
            yield from run(history, history.world.now_us + int(step.run * SECOND_US))
        if step.until:
            began_us, end_us = history.world.now_us, history.world.now_us + int(step.within * SECOND_US)
            part = WorkSlice()
            while list(differences(history, step.until)) and history.world.now_us < end_us:
                if part.over():
                    waited_s = (history.world.now_us - began_us) / SECOND_US
                    yield WorkProgress(waited_s, step.within, " s at most")
                history.run(min(end_us, max(history.world.deadline(), history.world.now_us + 1000)))

    def digest(self) -> str:
        """Return a hash over the whole history."""
        return hashlib.sha256(self.history.digest().encode()).hexdigest()[:16]


class Findings(NamedTuple):
    """What is so in a world, simulated or real."""

    nodes: dict[str, NodeView]
    beliefs: dict[tuple[str, str], BeliefView]  # by Sentinel and master
    applications: dict[str, ApplicationView]
    clusters: dict[str, ClusterView]  # by node
    writers: dict[str, WriterView]


def differences(history: History, expected: dict[str, Expect]) -> Iterator[str]:
    """Tell what is not as expected."""
    if not expected:
        return iter(())
    world = history.world
    found = Findings(
        node_views(world),
        {(belief.sentinel, belief.master): belief for belief in belief_views(world)},
        {view.name: view for view in application_views(world)},
        cluster_views(world),
        {view.name: view for view in writer_views(world)},
    )
    return unmet(expected, found, lambda name: data_of(world, name))


def unmet(
    expected: dict[str, Expect], found: Findings, data_of: Callable[[str], dict[bytes, object]]
) -> Iterator[str]:
    """Tell what of nodes, simulated or real, is not as expected; `data_of` returns what a node holds."""
    nodes = found.nodes
    for name, expect in expected.items():
        if name in found.applications:
            yield from _unmet_by_application(expect, found.applications[name], nodes)
            continue
        if name in found.writers:
            yield from unmet_by_writer(expect, found.writers[name], _names(nodes))
            continue
        node = nodes.get(name)
        if node is not None and node.role == "sentinel":
            yield from _unmet_by_sentinel(expect, node, found)
            continue
        if node is None:
            yield f"there is no node {name}"
            continue
        for field, wanted, value in _compared(expect, node, nodes):
            if wanted != value:
                yield f"{name}: {field} is {value}, expected {wanted}"
        if name in found.clusters:
            yield from unmet_by_cluster(expect, name, found.clusters[name])
        if expect.offset_above is not None and node.offset <= expect.offset_above:
            yield f"{name}: offset is {node.offset}, expected more than {expect.offset_above}"
        if expect.other_id is not None and node.replid == nodes[expect.other_id].replid:
            yield f"{name}: the replication ID is that of {expect.other_id}"
        data = data_of(name) if expect.keys or expect.same_data is not None else {}
        for key, value in expect.keys.items():
            text = _text(data.get(key.encode()))
            if text != (None if value is None else str(value)):
                yield f"{name}: the key {key} is {text}, expected {value}"
        if expect.same_data is not None and data != data_of(expect.same_data):
            yield f"{name}: the data differs from that of {expect.same_data}"


def _names(nodes: dict[str, NodeView]) -> dict[str, str]:
    return {node.address: name for name, node in nodes.items()}


def _unmet_by_sentinel(expect: Expect, node: NodeView, found: Findings) -> Iterator[str]:
    name = node.name
    if expect.state is not None and expect.state != node.state:
        yield f"{name}: state is {node.state}, expected {expect.state}"
    beliefs = [belief for (sentinel, _), belief in found.beliefs.items() if sentinel == name]
    belief = next((each for each in beliefs if not expect.of or each.master == expect.of), None)
    if belief is None:
        yield f"{name}: watches no master {expect.of}"
        return
    ids = {each.run_id: each.sentinel for each in found.beliefs.values()}
    flags = belief.flags.split(",")
    kinds = [member.kind for member in belief.members]
    so = {
        "master": _names(found.nodes).get(belief.address, belief.address), "s_down": "s_down" in flags,
        "o_down": "o_down" in flags, "failover": belief.failover_state, "epoch": belief.config_epoch,
        "voted_for": ids.get(belief.vote, belief.vote), "vote_epoch": belief.vote_epoch,
        "sentinels": kinds.count("sentinel"),
        "known_replicas": kinds.count("slave"), "tilt": belief.tilt,
    }  # fmt: skip
    for field, value in so.items():
        wanted = getattr(expect, field)
        if wanted is not None and wanted != value:
            yield f"{name}: {field} is {value}, expected {wanted}"
    if expect.epoch_above is not None and belief.config_epoch <= expect.epoch_above:
        yield f"{name}: epoch is {belief.config_epoch}, expected more than {expect.epoch_above}"


def _unmet_by_application(expect: Expect, app: ApplicationView, nodes: dict[str, NodeView]) -> Iterator[str]:
    name = app.name
    if expect.target is not None:
        target = _names(nodes).get(app.target, app.target) if app.does == WRITING else ""
        if target != expect.target:
            yield f"{name}: it writes to {target or 'no node'}, expected {expect.target or 'no node'}"
    for field, value in (("acknowledged", app.acknowledged), ("failed", app.failed)):
        above = getattr(expect, f"{field}_above")
        if above is not None and value <= above:
            yield f"{name}: {field} is {value}, expected more than {above}"
    if expect.error is not None and (expect.error not in app.error or bool(expect.error) != bool(app.error)):
        yield f"{name}: error is {app.error!r}, expected {expect.error!r}"
    for node, wanted in expect.missing.items():
        lost = app.missing.get(node)
        if lost is None or (bool(lost) != wanted if isinstance(wanted, bool) else lost != wanted):
            yield f"{name}: {node} lacks {lost} of its acknowledged writes, expected {wanted}"


def _compared(expect: Expect, node: NodeView, nodes: dict[str, NodeView]) -> Iterator[tuple[str, Any, Any]]:
    link = ("up" if node.link == "up" else "down") if node.role == "replica" else ""
    found = {
        "state": node.state, "role": node.role, "link": link, "sync_full": node.sync_full,
        "sync_partial_ok": node.sync_partial_ok, "sync_partial_err": node.sync_partial_err,
        "replicas": len(node.replicas), "offset": node.offset, "second_id": bool(node.replid2), "size": node.keys,
    }  # fmt: skip
    for field, value in found.items():
        wanted = getattr(expect, field)
        if wanted is not None:
            yield field, wanted, value
    if expect.follows is not None:
        yield "master", expect.follows, _names(nodes).get(node.master, node.master)
    if expect.same_offset is not None:
        yield "offset", nodes[expect.same_offset].offset, node.offset
    if expect.same_id is not None:
        yield "replication ID", nodes[expect.same_id].replid, node.replid


def _text(value: object) -> str | None:
    if value is None:
        return None
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)


def unheard(step: StepSpec, heard: Callable[[str], bytes], logged: Callable[[str], str]) -> Iterator[str]:
    """Tell what clients were not answered and nodes did not log during a step, although they should."""
    for client, wanted in step.replied.items():
        answers = heard(client)
        if wanted.encode() not in answers:
            yield f"{client} was answered {answers[:200]!r}, expected {wanted!r} in it"
    for host, wanted in step.logged.items():
        if wanted not in logged(host):
            yield f"{host} did not log {wanted!r}"


def _heard(fresh: list[TraceEvent], client: str) -> bytes:
    return b"".join(h.data for h in fresh if isinstance(h, Delivered) and h.target in (client, PROMPT + client))


def _logged(fresh: list[TraceEvent], host: str) -> str:
    return "\n".join(h.text for h in fresh if isinstance(h, Logged) and h.host == host)
