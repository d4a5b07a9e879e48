"""Watch expressions: a field of a node's INFO, or what a command that reads would reply there, at any moment.

    B master_repl_offset        a field of B's INFO
    A> GET k                    what A would reply (also: A GET k); nothing is sent, and no statistics change
    B role = slave              a condition: = != < <= > >=, of numbers or of texts
    A> GET k changes            a condition that holds when the value is not what it was at first

Reading has no effect on the history: the node is looked at, not asked.
"""

import operator
import re
import shlex
from collections.abc import Callable
from typing import NamedTuple

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Reply, Verbatim
from engine.simulation.actions import ActionError
from engine.simulation.state import info_fields_of, reply_of
from engine.simulation.world import World
from tutor.lab.naming import unknown
from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten, split_args

USAGE = "watch NODE FIELD, or watch NODE> GET KEY"
NOT_THERE = "–"  # of a node that does not run
VALUE_LENGTH = 60
CHANGES = "changes"
OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    ">=": operator.ge,  # type: ignore[dict-item]
}
_GLUED = re.compile(r"([^<>=!]+)(<=|>=|!=|==|=|<|>)([^<>=!]+)")


class WatchExpression(NamedTuple):
    """What is read: a field of INFO, or a command at a node."""

    node: str
    field: str = ""
    argv: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """The expression as it is typed."""
        if self.field:
            return f"{self.node} {self.field}"
        return f"{self.node}> " + " ".join(word.decode("utf-8", "replace") for word in self.argv)

    def value(self, world: World) -> str:
        """Return its value at the present moment of a world."""
        host = world.hosts.get(self.node)
        if host is None or host.node is None:
            return NOT_THERE
        if self.field:
            return info_fields_of(world, self.node).get(self.field, NOT_THERE)
        return _told(reply_of(world, self.node, list(self.argv)))


class WatchCondition(NamedTuple):
    """What has to hold of a value; `first` is the value at the beginning, for `changes`."""

    watched: WatchExpression
    operator: str
    wanted: str = ""

    @property
    def text(self) -> str:
        """The condition as it is typed."""
        return f"{self.watched.text} {self.operator} {self.wanted}".strip()

    def holds(self, world: World, first: str) -> bool:
        """Return whether it holds now."""
        value = self.watched.value(world)
        if self.operator == CHANGES:
            return value != first
        if value == NOT_THERE:
            return self.operator == "!=" and self.wanted != NOT_THERE
        compare = OPERATORS[self.operator]
        try:
            return compare(float(value), float(self.wanted))
        except ValueError:
            return self.operator in ("=", "==", "!=") and compare(value, self.wanted)


def _told(reply: Reply) -> str:
    if reply is None:
        return "(nil)"
    if isinstance(reply, ReplyError | Verbatim):
        text = reply.text.decode("utf-8", "replace")
    elif isinstance(reply, bytes | bytearray):
        text = bytes(reply).decode("utf-8", "replace")
    elif isinstance(reply, list | tuple):
        text = f"[{', '.join(_told(each) for each in reply)}]"
    else:
        text = str(reply)
    return shorten("".join(each if each.isprintable() else "·" for each in text), VALUE_LENGTH)


def watch_of(text: str, world: World) -> WatchExpression:
    """Return the expression that a line means. Raises ActionError, with the nearest name."""
    name, prompt, rest = text.partition(">")
    if prompt and name.strip() and " " not in name.strip():
        node, words = name.strip(), rest
    else:
        node, _, words = text.strip().partition(" ")
    words = words.strip()
    if not node or not words:
        raise ActionError(USAGE)
    if node not in world.hosts:
        raise ActionError(unknown("node", node, world.hosts))
    if words.upper().startswith("INFO ") and len(words.split()) == 2:
        words = words.split()[1]
    if not prompt and " " not in words:
        return _field(node, words.lower(), world)
    argv = split_args(words)
    if not argv:
        raise ActionError("the quotes are unbalanced")
    watched = WatchExpression(node, argv=tuple(argv))
    if world.hosts[node].node is not None:
        try:
            reply = reply_of(world, node, argv)
        except ValueError as error:
            raise ActionError(f"{error}: only what reads can be watched") from None
        if isinstance(reply, ReplyError):
            raise ActionError(shorten(_told(reply), VALUE_LENGTH * 2))
    return watched


def _field(node: str, field: str, world: World) -> WatchExpression:
    known = info_fields_of(world, node)
    everywhere = known or {name for host in world.hosts for name in info_fields_of(world, host)}
    if everywhere and field not in everywhere and not _comes_and_goes(field):
        near = nearest(field, everywhere)
        rather = f"did you mean {near}?" if near else f"INFO of {node} lists its fields; a key: {node}> GET {field}"
        raise ActionError(f"INFO of {node} has no field {shorten(field)}: {rather}")
    return WatchExpression(node, field)


# Fields of INFO that a node shows in one of its roles only.
_SOMETIMES = re.compile(
    r"master_(host|port|link_\w+|last_io_seconds_ago|sync_\w+)|slave\w*|replica\w*|slave_repl_offset|db\d+|"
    r"min_slaves_good_slaves|master_sync_in_progress|loading_\w+|rdb_\w+|aof_\w+|errorstat_\w+"
)


def _comes_and_goes(field: str) -> bool:
    return _SOMETIMES.fullmatch(field) is not None


def condition_of(text: str, world: World) -> WatchCondition:
    """Return the condition that a line means. Raises ActionError."""
    words = text.split()
    if words and words[-1] == CHANGES:
        return WatchCondition(watch_of(" ".join(words[:-1]), world), CHANGES)
    if len(words) >= 3 and words[-2] in OPERATORS:
        return WatchCondition(watch_of(" ".join(words[:-2]), world), words[-2], _unquoted(words[-1]))
    glued = _GLUED.fullmatch(words[-1]) if words else None
    if glued is not None and len(words) > 1:
        watched = watch_of(" ".join([*words[:-1], glued[1]]), world)
        return WatchCondition(watched, glued[2], _unquoted(glued[3]))
    raise ActionError(f"a condition is like: {words[0] if words else 'B'} master_repl_offset > 1000")


def _unquoted(word: str) -> str:
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word


__all__ = ["CHANGES", "NOT_THERE", "WatchCondition", "WatchExpression", "condition_of", "watch_of"]
