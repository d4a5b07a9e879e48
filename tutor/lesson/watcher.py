"""What is drawn after a command, and the sentence that says what it changed.

A watcher reads what a command is about before and after it (`before`, `after`), without a trace, and gives a view
that draws itself at any width. What no look shows comes from the server's events (`hear`): which keys changed, and
what a script called. When something happens without being typed here (another client writes, a key expires),
`again` returns a new picture.

Everything but `hear` asks the server and waits for its answers: call it from a thread.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from engine.observe.events import CommandExecuted, KeyChanged, KeyExpired
from engine.protocol.errors import ReplyError
from engine.table.declarations import WRITE
from tutor.lesson.typed import declared, reach
from tutor.pictures import subjects
from tutor.pictures.clients import draw_clients, read_clients
from tutor.pictures.hyperloglogs import draw_hll
from tutor.pictures.keys import draw_key
from tutor.pictures.letters import Letters
from tutor.pictures.memory import draw_memory, read_memory
from tutor.pictures.persistence import Layers, draw_layers, read_layers
from tutor.pictures.picture import Picture, PictureView
from tutor.pictures.readings import Argv, Inspections, Key, StringExcerpt, is_sentinel, read_key
from tutor.pictures.replication import draw_replication, read_machine
from tutor.pictures.scripts import Call, draw_script
from tutor.pictures.sets import draw_sets, operands, read_sets
from tutor.pictures.slots import ALONE, draw_slots, read_slots
from tutor.pictures.subjects import KEY, subject_of
from tutor.pictures.subscriptions import draw_subscriptions, read_subscriptions
from tutor.pictures.transactions import draw_transaction, read_transaction

Place = tuple[int, bytes]  # database, key
Machines = Callable[[], Sequence[tuple[str, Inspections]]]

CLIENTS_APART = 1_000_000  # between the numbers of two servers' clients
KEYS_READ = 4  # of one command
KEYS_DRAWN = 2
SAID = 2  # keys of which a sentence is said
READINGS_KEPT = 64
CALLS_KEPT = 200  # of a script
CHANGED_KEPT = 200
ELEMENTS_KEPT = 100_000  # of a HyperLogLog, to count them truly
SCRIPTS = (b"eval", b"evalsha", b"eval_ro", b"evalsha_ro", b"fcall", b"fcall_ro")
WIDTH = 80  # at which the sentence is made; it is the same at all


@dataclass(slots=True)
class Remembered:
    """What is remembered from command to command; an undo takes it back."""

    readings: dict[Place, Key] = field(default_factory=dict)
    elements: dict[Place, frozenset[bytes]] = field(default_factory=dict)  # really added to HyperLogLogs
    layers: Layers | None = None
    scenes: dict[str, Any] = field(default_factory=dict)


class Watcher:
    """Watches one server, or the machines of a lesson with the one that is typed to.

    `inspect_all` looks at the server, `names` gives the terminals' names by the numbers of their clients, and
    `machines` all servers by their names.
    """

    def __init__(
        self, inspect_all: Inspections, names: Callable[[], Mapping[int, str]], machines: Machines | None = None
    ) -> None:
        self._inspect_all = inspect_all
        self._names = names
        self._machines = machines or (lambda: [("this server", inspect_all)])
        self._lock = threading.Lock()  # of a command being watched
        self._events = threading.Lock()
        self._changed: dict[Place, None] = {}
        self._calls: list[Call] = []
        self._script: tuple[list[Call], int] = ([], 0)
        self._more_calls = 0
        self._kept = Remembered()
        self._before: dict[int, tuple[dict[Place, Key], dict[str, Any]]] = {}  # by client: read before its command
        self._letters = Letters()  # of replication IDs
        self._shown: tuple[str, tuple[Place, ...], Argv] = ("", (), ())  # subject, keys, the command
        self.pinned: bytes | str | None = None  # a key, or a subject, that is drawn whatever is typed

    # -- the event stream

    def hear(self, event: Any) -> None:
        """Take an event of the server, from any thread."""
        with self._events:
            if isinstance(event, KeyChanged | KeyExpired):
                if len(self._changed) < CHANGED_KEPT:
                    self._changed[(event.db, event.key)] = None
            elif isinstance(event, CommandExecuted):
                self._hear_command(event)

    def _hear_command(self, event: CommandExecuted) -> None:
        if event.argv[0].lower() in SCRIPTS:
            self._script = (self._calls, self._more_calls)
            self._calls, self._more_calls = [], 0
        elif event.client_id % CLIENTS_APART == 0:  # a script's commands are no client's
            if len(self._calls) < CALLS_KEPT:
                self._calls.append(Call(tuple(event.argv), event.reply))
            else:
                self._more_calls += 1

    def last_script(self) -> tuple[list[Call], int]:
        """Return what the script that ran last called, and how many more calls were not kept."""
        with self._events:
            calls, more = self._script
            return list(calls), more

    # -- going back

    def saved(self) -> Remembered:
        """Return what is remembered, for `restore`."""
        kept = copy(self._kept)
        kept.readings, kept.elements, kept.scenes = {}, dict(kept.elements), {}
        return kept

    def restore(self, kept: Remembered | None) -> None:
        """Go back to what was remembered (None: nothing)."""
        with self._lock:
            self._kept = copy(kept) if kept is not None else Remembered()
            self._kept.readings, self._kept.elements = {}, dict(self._kept.elements)

    # -- a command

    def before(self, argv: Argv, db: int, client: int) -> None:
        """Read what a command is about, before it runs."""
        if not argv:
            return
        with self._lock:
            readings, scenes = self._before[client] = ({}, {})
            for key in reach(argv)[1][:KEYS_READ]:
                readings[(db, key)] = self._read(db, key, argv)
            for subject in {self._subject(argv, client), *([self.pinned] if isinstance(self.pinned, str) else [])}:
                if subject not in (KEY, subjects.SETS):
                    scenes[subject] = self._kept.scenes[subject] = self._scene(subject, db, client)
        with self._events:
            self._changed.clear()
            self._calls, self._more_calls = [], 0
            if argv[0].lower() in SCRIPTS:
                self._script = ([], 0)

    def after(self, argv: Argv, replies: Sequence[Any], db: int, client: int) -> tuple[PictureView | None, str]:
        """Read the same after the command has run; returns what to draw, if it is another thing, and the sentence."""
        if not argv:
            return None, ""
        with self._lock:
            self._inspect_all([((b"PING",), db)])  # whose answer comes after all events
            # `again` may have read the same meanwhile: what a command changed is measured from before it ran.
            readings, scenes = self._before.pop(client, ({}, {}))
            self._kept.readings.update(readings)
            self._kept.scenes.update(scenes)
            return self._after(argv, replies[-1] if replies else None, db, client)

    @property
    def shows_machines(self) -> bool:
        """Whether the picture is of all machines, which change by themselves."""
        return self._shown[0] == subjects.REPLICATION

    def again(self, db: int, client: int) -> PictureView | None:
        """Return a new picture if what it shows has changed."""
        with self._lock:
            subject, places, argv = self._shown
            if not subject:
                return None
            if subject in (subjects.MEMORY, subjects.CLIENTS, subjects.SCRIPT, subjects.SLOTS):
                return None  # which stand for the moment after a command
            if subject != KEY:
                before = self._kept.scenes.get(subject)
                now = self._kept.scenes[subject] = self._scene(subject, db, client)
                return None if before == now else self._view_of(subject, before, now, (), None, db)
            drawn = []
            changed = False
            for place in places:
                before = self._kept.readings.get(place)
                drawn.append((place, before, self._read(*place, argv)))  # the same parts of it
                changed |= before is None or _differs(before, drawn[-1][2])
            return self._view_of_keys(drawn, ()) if changed else None

    def reread(self, db: int, client: int) -> PictureView | None:
        """Return the picture of the same thing as it is now, with nothing marked as changed (after an undo)."""
        with self._lock:
            subject, places, _ = self._shown
            if subject == KEY:
                return self._view_of_keys([(place, None, self._read(*place, ())) for place in places], ())
            if not subject or subject == subjects.SCRIPT:
                return None
            now = self._kept.scenes[subject] = self._scene(subject, db, client)
            return self._view_of(subject, None, now, (), None, db)

    def show(self, what: bytes | str | None, db: int, client: int) -> PictureView | None:
        """Draw a key (bytes) or a subject from now on, or again what is typed about (None)."""
        with self._lock:
            self.pinned = what
            if what is None:
                return None
            return self._view_of_pinned(db, client)

    # -- reading

    def _read(self, db: int, key: bytes, argv: Argv) -> Key:
        readings = self._kept.readings
        reading = read_key(self._inspect_all, db, key, argv, readings.pop((db, key), None))
        readings[(db, key)] = reading
        while len(readings) > READINGS_KEPT:
            del readings[next(iter(readings))]
        return reading

    def _scene(self, subject: str, db: int, client: int) -> Any:
        match subject:
            case subjects.TRANSACTION:
                return read_transaction(self._inspect_all, client)
            case subjects.SUBSCRIPTIONS:
                return read_subscriptions(self._inspect_all)
            case subjects.MEMORY:
                return read_memory(self._inspect_all, db)
            case subjects.CLIENTS:
                return read_clients(self._inspect_all)
            case subjects.SLOTS:
                return read_slots(self._inspect_all)
            case subjects.REPLICATION:
                return tuple(read_machine(inspect_all, name) for name, inspect_all in self._machines())
            case subjects.PERSISTENCE:
                self._kept.layers = read_layers(self._inspect_all, (), self._kept.layers)
                return self._kept.layers
        return None

    def _subject(self, argv: Argv, client: int) -> str:
        command = declared(argv[0].lower())
        subject = subject_of(argv, command.group if command is not None else "")
        if subject in (subjects.MEMORY, subjects.PERSISTENCE) and is_sentinel(self._inspect_all):
            return subjects.REPLICATION  # it has neither keys nor snapshots
        may_wait = subject in (KEY, subjects.SETS, subjects.SCRIPT)
        if may_wait and read_transaction(self._inspect_all, client).state not in ("none", "watching"):
            return subjects.TRANSACTION  # the command is queued
        return subject

    # -- drawing

    def _after(self, argv: Argv, reply: Any, db: int, client: int) -> tuple[PictureView | None, str]:
        with self._events:
            events = list(self._changed)
        if events:
            self._kept.layers = read_layers(
                self._inspect_all, [key for _, key in events[:KEYS_READ]], self._kept.layers
            )
        places = [(db, key) for key in reach(argv)[1][:KEYS_READ]]
        known = [
            place for place in dict.fromkeys([*places, *events]) if place in self._kept.readings or place in events
        ]
        drawn = []
        for place in known[: KEYS_READ + KEYS_DRAWN]:
            earlier = self._kept.readings.get(place)
            drawn.append((place, earlier, self._read(*place, argv)))
        self._count_elements(argv, drawn)
        subject = self._subject_after(argv, client)
        changed = [each for each in drawn if each[1] is not None and _differs(each[1], each[2])]
        sentence = self._sentence(argv, reply, changed, len(events), subject)
        if self.pinned is not None:
            return self._view_of_pinned(db, client, argv), sentence
        if isinstance(reply, ReplyError) and not changed and subject != subjects.TRANSACTION:
            return None, sentence
        if subject == subjects.SETS:
            sets = read_sets(self._inspect_all, db, operands(argv))
            self._shown = ("", (), ())
            return PictureView(lambda width, _: draw_sets(sets, width, argv), subject, fresh=True), sentence
        if subject in (KEY, "") or (subject == subjects.MEMORY and changed):
            chosen = _chosen(drawn, changed)
            return (self._view_of_keys(chosen, argv) if chosen else None), sentence
        before = self._kept.scenes.get(subject)
        now = self._kept.scenes[subject] = self._scene(subject, db, client)
        view = self._view_of(subject, before, now, argv, reply, db)
        if not sentence and subject == subjects.TRANSACTION and argv[0].lower() in (b"exec", b"discard"):
            sentence = view.draw(WIDTH, 0).sentence
        return view, sentence

    def _subject_after(self, argv: Argv, client: int) -> str:
        if argv[0].lower() in (b"exec", b"discard"):
            return subjects.TRANSACTION
        return self._subject(argv, client)

    def _sentence(self, argv: Argv, reply: Any, changed: Sequence[Any], events: int, subject: str) -> str:
        flags, _ = reach(argv)
        if subject == subjects.TRANSACTION:
            return ""
        if not flags & WRITE and not (subject == subjects.SCRIPT and events):
            return ""
        said = [self._draw(place, before, now, WIDTH, argv).sentence for place, before, now in changed]
        said = [each for each in said if each]
        rest = max(events, len(said)) - SAID
        if rest > 0 and len(said) > SAID:
            said = [*said[:SAID], f"{rest} more {'key' if rest == 1 else 'keys'} changed."]
        return " ".join(said[: SAID + 1])

    def _draw(self, place: Place, before: Key | None, now: Key, width: int, argv: Argv) -> Picture:
        if isinstance(now.value, StringExcerpt) and now.value.hll and argv and argv[0].lower().startswith(b"pf"):
            known = self._kept.elements.get(place)
            return draw_hll(before, now, width, argv, len(known) if known is not None else None)
        return draw_key(before, now, width, argv)

    def _view_of_keys(self, drawn: Sequence[tuple[Place, Key | None, Key]], argv: Argv) -> PictureView:
        self._shown = (KEY, tuple(place for place, _, _ in drawn), argv)

        def draw(width: int, elapsed_ms: float) -> Picture:
            pictures = []
            for place, before, now in drawn:
                if now.ttl_ms >= 0:
                    now = replace(now, ttl_ms=max(0, now.ttl_ms - int(elapsed_ms)))
                pictures.append(self._draw(place, before, now, width, argv))
            lines = [line for picture in pictures for line in (*picture.lines, ())]
            return Picture(tuple(lines[:-1]), " ".join(filter(None, (each.sentence for each in pictures))))

        fresh = any(before is not None and _differs(before, now) for _, before, now in drawn)
        return PictureView(draw, KEY, fresh, ticks=any(now.ttl_ms >= 0 for _, _, now in drawn))

    def _view_of(self, subject: str, before: Any, now: Any, argv: Argv, reply: Any, db: int) -> PictureView:
        self._shown = (subject, (), ())
        names = dict(self._names())
        again_ms = 0
        calls, more = self._script
        keys = reach(argv)[1] if argv else []
        if argv and argv[0].lower() == b"cluster":
            keys = list(argv[2:3])
        if subject == subjects.PERSISTENCE and now.aof == "on" and now.policy == "everysec":
            again_ms = now.sync_due_ms + 100 if now.written > now.durable else 0
        if subject == subjects.PERSISTENCE and now.saving:
            again_ms = 200
        draws: dict[str, Callable[[int], Picture]] = {
            subjects.TRANSACTION: lambda width: draw_transaction(before, now, width, argv, reply, names),
            subjects.SUBSCRIPTIONS: lambda width: draw_subscriptions(before, now, width, argv, names),
            subjects.MEMORY: lambda width: draw_memory(before, now, width, argv),
            subjects.CLIENTS: lambda width: draw_clients(before, now, width, argv),
            subjects.REPLICATION: lambda width: draw_replication(before, now, width, argv, self._letters),
            subjects.PERSISTENCE: lambda width: draw_layers(before, now, width, argv),
            subjects.SCRIPT: lambda width: draw_script(calls, width, argv, reply, more),
            subjects.SLOTS: lambda width: draw_slots(now if now is not None else ALONE, keys, width, argv),
        }
        draw = draws[subject]
        return PictureView(lambda width, _: draw(width), subject, before != now, again_ms=again_ms)

    def _view_of_pinned(self, db: int, client: int, argv: Argv = ()) -> PictureView | None:
        if isinstance(self.pinned, bytes):
            place = (db, self.pinned)
            earlier = self._kept.readings.get(place)
            return self._view_of_keys([(place, earlier, self._read(db, self.pinned, argv))], argv)
        subject = self.pinned or ""
        before = self._kept.scenes.get(subject)
        now = self._kept.scenes[subject] = self._scene(subject, db, client)
        return self._view_of(subject, before, now, argv, None, db)

    def _count_elements(self, argv: Argv, drawn: Sequence[tuple[Place, Key | None, Key]]) -> None:
        """Count what was really added to HyperLogLogs, as far as all of it was seen."""
        word, elements = argv[0].lower(), self._kept.elements
        for place, before, now in drawn:
            if before is not None and not _differs(before, now):
                continue
            if word == b"pfadd" and (place in elements or (before is not None and not before.exists)):
                elements[place] = elements.get(place, frozenset()) | frozenset(argv[2:])
            elif word == b"pfmerge" and argv[1] == place[1]:
                sources = [(place[0], key) for key in argv[1:] if key != place[1] or (before and before.exists)]
                if all(source in elements for source in sources):
                    elements[place] = frozenset().union(*(elements[source] for source in sources))
                else:
                    elements.pop(place, None)
            elif word != b"pfcount":
                elements.pop(place, None)
            if len(elements.get(place, ())) > ELEMENTS_KEPT:
                del elements[place]


def _differs(before: Key, now: Key) -> bool:
    """Return whether a key has changed, but for its time to live getting shorter."""
    return replace(before, ttl_ms=0, ttl_full_ms=0) != replace(now, ttl_ms=0, ttl_full_ms=0)


def _chosen(drawn: Sequence[Any], changed: Sequence[Any]) -> list[Any]:
    """Return the keys to draw: those that changed, or the first that is there."""
    if changed:
        present = [each for each in changed if each[2].exists]
        return list(present or changed)[:KEYS_DRAWN] if len(changed) > KEYS_DRAWN else list(changed)
    return [each for each in drawn if each[2].exists][:1] or list(drawn[:1])
