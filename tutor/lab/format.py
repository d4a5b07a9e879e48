"""Trace → lines of text: the laboratory without a screen, readable in a pipe and equal at every run.

An acknowledgement that says what the one before it said is left out, and so is what a node does inside (commands,
keys): the messages tell it. What Sentinels and applications do all the time (PING, INFO, hello messages, writes) is
shown when it differs from what was said before.
"""

import re
from collections.abc import Iterator

from engine.observe import events
from engine.simulation import actions, trace
from engine.simulation.state import ApplicationView, BeliefView, NodeView
from engine.simulation.trace import TraceEvent
from engine.simulation.world import BEGINNING_US
from tutor.lab.actions import describe, shown
from tutor.lab.explain import LinkDecoder, Part
from tutor.lab.gossip import BusTalk
from tutor.lab.routine import Routine, said_by_sentinel
from tutor.pictures.letters import Letters

_PLACE = re.compile(r"\b[0-9a-f]{40}\b|\b\d+\.\d+\.\d+\.\d+[: ]\d+\b")

_WHOLE_ID = re.compile(rb"\b[0-9a-f]{40}\b")
WITH_ID = ("psync", "fullresync", "continue")  # messages with replication IDs (`tutor.lab.explain.Part.kind`)

FROM_OUTSIDE = (actions.OutsideOpens, actions.OutsideSends, actions.OutsideEnds, actions.OutsideAnswers,
                actions.OutsideReads)  # fmt: skip
Row = tuple[int, str, str, str, str]  # number, glyph, source, target, text


def clock(at_us: int) -> str:
    """Return a time in seconds since the world began."""
    return f"{(at_us - BEGINNING_US) / 1_000_000:.3f}"


class EventFormatter:
    """Reads events in order and describes what a learner wants to know about them."""

    def __init__(self, letters: Letters | None = None) -> None:
        self.letters = letters or Letters()
        self.conversations: dict[int, LinkDecoder] = {}
        self.diallers: dict[int, str] = {}
        self.parts: dict[int, list[Part]] = {}  # number of a Sent → what was complete with it
        self.acks: dict[int, str] = {}
        self.again: list[Row] = []  # acknowledgements that say what the one before them said
        self.routine = Routine()
        self.names: dict[str, str] = {}  # of Sentinels and nodes of clusters by their IDs, of machines by addresses
        self.bus = BusTalk(self.names)
        self.from_program = False  # whether the last bytes that arrived were sent by an application

    def rows(self, event: TraceEvent) -> Iterator[Row]:
        """Yield what there is to show of an event: number, kind of line, who, to whom, text."""
        number = event.number
        match event:
            case trace.Acted(action=action) if isinstance(action, FROM_OUTSIDE):
                pass  # the messages tell it
            case trace.Acted(action=action):
                self._acted(action)
                yield number, "!", "", "", describe(action)
            case trace.Dialled(link=link, source=source, target=target):
                self.diallers[link] = source
                self.routine.dialled(link, source, target)
            case trace.Opened(source=source, target=target):
                if self._is_news(source, target, "connected"):
                    yield number, "+", source, target, "connected"
            case trace.Refused(source=source, target=target, reason=reason):
                if self._is_news(source, target, reason):
                    yield number, "x", source, target, reason
            case trace.Hungup(source=source, target=target, reset=reset):
                news = source not in self.routine.keys or self.routine.is_news(source, target, "closed")
                if self.bus.is_news(source, target, f"closed {reset}") and (reset or news):
                    yield number, "x", source, target, "connection reset" if reset else "connection closed"
            case trace.Sent():
                yield from self._sent(event)
            case trace.Dropped(source=source, target=target, data=data):
                yield number, "x", source, target, f"{len(data)} B lost"
            case trace.Started(host=host):
                yield number, "*", host, "", "starts"
            case trace.Exited(host=host, reason=reason):
                yield number, "*", host, "", f"ends: {reason}"
            case trace.Noticed(host=host, text=text):
                yield number, "*", host, "", text
            case trace.DiskUsed(host=host, operation="power cut", size_bytes=size):
                yield number, "*", host, "", f"power cut: {size} B that were not fsynced are gone"
            case trace.Delivered(source=source):
                self.from_program = source in self.routine.busy
            case trace.NodeEvent(host=host, event=events.ClusterDecided() | events.ClusterLearned() as decision):
                for text in self.bus.told(host, decision, self.from_program):
                    yield number, "?", host, "", text
            case trace.NodeEvent(host=host, event=node_event):
                for text in self.why(host, node_event):
                    yield number, "?", host, "", text

    def _sent(self, sent: trace.Sent) -> Iterator[Row]:
        conversation = self.conversations.setdefault(sent.link, LinkDecoder())
        parts = conversation.feed(self.diallers.get(sent.link) == sent.source, sent.data)
        self.parts[sent.number] = parts
        for part in parts:
            if part.kind in WITH_ID:
                for replid in _WHOLE_ID.findall(part.data):
                    self.letters.letter(replid.decode())
        if self.bus.hides(sent, parts) or self.routine.hides(sent, parts):
            return
        size = f"{len(sent.data)} B"
        if not parts:
            yield sent.number, ">", sent.source, sent.target, f"… {size}"
            return
        if all(part.kind == "ack" for part in parts):
            if self.routine.keys:
                return
            if self.acks.get(sent.link) == parts[-1].summary:
                told = f"{parts[-1].summary}  {len(parts[-1].data)} B"
                self.again.append((sent.number, ">", sent.source, sent.target, told))
                return
            self.acks[sent.link] = parts[-1].summary
        for part in parts[:3]:
            if not part.summary:
                continue
            where = f"  offset {part.before} → {part.after}" if part.after >= 0 else ""
            yield (
                sent.number,
                ">",
                sent.source,
                sent.target,
                f"{self._summary(sent.link, part)}  {len(part.data)} B{where}",
            )
        if len(parts) > 3:
            last = parts[-1]
            where = f"  offset {parts[3].before} → {last.after}" if last.after >= 0 else ""
            rest = sum(len(part.data) for part in parts[3:])
            yield sent.number, ">", sent.source, sent.target, f"and {len(parts) - 3} more  {rest} B{where}"

    def _summary(self, link: int, part: Part) -> str:
        if part.kind == "bus":
            return self.bus.named(part.summary)
        said = said_by_sentinel(part.data) if link in self.routine.links else ""
        return self.named(said) if said else self.lettered(part.summary)

    def _is_news(self, source: str, target: str, what: str) -> bool:
        """Tell whether the same did not come of the attempt before to connect two machines."""
        return self.routine.is_news(source, target, what) and self.bus.is_news(source, target, what)

    def _acted(self, action: object) -> None:
        self.bus.acted(action)
        match action:
            case actions.AddHost(name=name, address=address):
                self.names[address] = name
            case actions.Expose(host=host, port=port):
                self.names |= {f"127.0.0.1:{port}": host}
            case actions.AddSentinel(name=name, address=address):
                self.names[address] = name
                self.routine.busy[name] = None
            case actions.AddClusterApplication(name=name, keys=keys):
                self.routine.busy[name] = None
                self.routine.keys.update(dict.fromkeys(keys))
            case actions.AddProgram(name=name, key=key):
                self.routine.busy[name] = None
                self.routine.keys.update(dict.fromkeys((key, f"{key}:{name}", f"{key}:fence")))
            case actions.AddApplication(name=name):
                self.routine.busy[name] = None
                self.routine.keys[name] = None

    def named(self, text: str) -> str:
        """Return what a Sentinel says with the machines' names in place of addresses and IDs."""
        found = re.fullmatch(r"sentinel ([0-9a-f]{40}) (\S+) (\d+) @.*", text)
        if found and f"{found[2]}:{found[3]}" in self.names:
            self.names[found[1]] = self.names[f"{found[2]}:{found[3]}"]
        return _PLACE.sub(self._named, text)

    def _named(self, match: re.Match[str]) -> str:
        return self.names.get(match[0].replace(" ", ":"), match[0])

    def why(self, host: str, event: events.Event) -> Iterator[str]:
        """Yield the reasons that an event of a node gives: each sentence is true, ✓ and ✗ say what speaks for it."""
        name = self.letters.of
        match event:
            case events.PsyncDecided(peer=peer, conditions=conditions, granted=granted, size_bytes=size):
                yield f"why {'partial' if granted else 'full'}, for {self._of_node(peer, host)}?"
                for condition in conditions:
                    yield f"  {'✓' if condition.holds else '✗'} {self._of_node(condition.text, host)}"
                yield f"  → {f'+CONTINUE, then {size} B of the backlog' if granted else 'a full resynchronization'}"
            case events.RoleChanged(role=role, master=master, reason=reason):
                what = "a master" if role == "master" else f"a replica of {self._of_node(master, host)}"
                yield f"is now {what}" + (f": {reason}" if reason else "")
            case events.ReplicationIdChanged(replid=replid, replid2=former, second_offset=second, reason=reason):
                more = f", {name(former)} below {second}" if former else ""
                yield f"ID {name(replid)}{more}: {self.lettered(reason)}"
            case events.BacklogCreated(size_bytes=size, first_offset=first, reason=reason):
                yield f"backlog of {size} B from offset {first}: {reason}"
            case events.BacklogFreed(reason=reason):
                yield f"backlog freed: {reason}"
            case events.FullResyncStarted(peer=peer, offset=offset, reason=reason):
                yield f"snapshot for {self._of_node(peer, host)} at offset {offset}: {reason}"
            case events.ReplicaDetached(peer=peer, offset=offset, reason=reason):
                yield f"replica {self._of_node(peer, host)} is gone, at offset {offset}: {reason}"
            case events.WriteRefused(command=command, error=error, conditions=conditions):
                yield f"{command} refused: {error}"
                for condition in conditions:
                    yield f"  {'✓' if condition.holds else '✗'} {self._of_node(condition.text, host)}"
            case events.WaitAnswered(command=command, wanted=wanted, reached=reached, reason=reason):
                yield f"{command}: {reached} of {wanted}: {reason}"
            case events.FailoverChanged(state=state, reason=reason):
                yield f"failover {state}: {reason}"
            case events.ResyncRequested(reason=reason):
                yield f"asks its master: {self.lettered(reason)}"
            case events.ResyncFinished(how=how, replid=replid, offset=offset, keys=keys):
                yield f"{how} resynchronization done: {name(replid)} {offset}, {keys} keys"
            case events.SentinelDecided(question=question, conditions=conditions, answer=answer):
                yield self.named(question)
                for condition in conditions:
                    yield f"  {'✓' if condition.holds else '✗'} {self.named(condition.text)}"
                yield f"  → {self.named(answer)}"
            case events.SentinelEvent(kind=kind, text=text):
                yield f"{kind} {self.named(text)}"
            case events.LinkStateChanged(state=state, before=before, reason=reason) if reason and (
                before == "connected" or state == "connected"
            ):
                yield f"link to its master {state}: {self.lettered(reason)}"

    def lettered(self, text: str) -> str:
        """Return a text with its replication IDs shortened."""
        return self.letters.in_text(text)

    def _of_node(self, text: str, host: str) -> str:
        """Return what a node says of itself and others with the names of machines and the letters of IDs."""
        return self.lettered(_PLACE.sub(self._server, text).replace("this node", host))

    def _server(self, match: re.Match[str]) -> str:
        return self.names.get(match[0], match[0]) if ":" in match[0] else match[0]


GLYPHS = {"!": "──", "+": "┄▶", "x": "✗ ", "*": "● ", "?": "  "}


def line_of(row: Row, at_us: int) -> str:
    """Return a row as a line."""
    _, kind, source, target, text = row
    source, target = shown(source), shown(target)
    who = f"{source} ──▶ {target}" if kind == ">" else f"{source} ✗─▶ {target}" if kind == "x" else source
    if kind == "+":
        who = f"{source} ┄┄▶ {target}"
    return f"{clock(at_us):>9}  {who:<16} {text}" if kind != "!" else f"{clock(at_us):>9}  ▌ {text}"


def node_line(node: NodeView, letters: Letters) -> str:
    """Return a node in one line."""
    if node.state == "down":
        return f"{node.name} {node.address}  down"
    if node.role == "sentinel":
        return f"{node.name} {node.address}  Sentinel" + ("  paused" if node.state == "paused" else "")
    told = f"{node.name} {node.address}  {node.role}"
    if node.role == "replica":
        told += f" of {node.master}, link {node.link}"
    told += f"  {letters.shown(node.replid)} offset {node.offset}"
    if node.replid2:
        told += f"  ({letters.shown(node.replid2)} below {node.second_offset})"
    told += f"  {node.keys} keys"
    if node.backlog:
        told += f"  backlog {node.backlog[0]}–{node.backlog[1]}"
    return told + ("  paused" if node.state == "paused" else "")


def belief_line(belief: BeliefView) -> str:
    """Return what a Sentinel believes in one line."""
    told = f"{belief.sentinel} takes {belief.address} for {belief.master} ({belief.flags})"
    told += f"  config {belief.config_epoch}, epoch {belief.current_epoch}"
    if belief.failover_state != "none":
        told += f"  failover {belief.failover_state}"
    return told + ("  TILT" if belief.tilt else "")


def application_line(view: ApplicationView) -> str:
    """Return what an application does in one line."""
    told = f"{view.name} {view.does}: {view.acknowledged} writes acknowledged, {view.failed} failed"
    lost = ", ".join(f"{name} lacks {count}" for name, count in view.missing.items() if count)
    return told + (f"; {lost}" if lost else "") + (f"  ({view.error})" if view.error else "")
