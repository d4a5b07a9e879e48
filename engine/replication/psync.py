"""PSYNC's decision: whether a replica can continue its history, and each rule that was looked at.

The rules and their order are those of `masterTryPartialResynchronization` in Redis 7.2's replication.c. A master's
decision, the reasons that observers see, and the laboratory's prediction of what would be decided are the same.

    the replica names a history       ID "?" asks for any
    server.replid                     the ID is this node's own, or
    server.replid2                    the one before, up to
    server.second_replid_offset       the offset at which this node left that history
    server.repl_backlog               the stream is kept,
    repl_backlog->offset              from its first byte
    repl_backlog->histlen             to its end; the offset after its last byte is fine: nothing is missing

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING, NamedTuple

from engine.observe.events import Condition

if TYPE_CHECKING:
    from engine.replication import Replication

FUNCTION = "replication.c, masterTryPartialResynchronization()"
NO_ID = b"0" * 40
RULES = (
    "server.replid",
    "server.replid2",
    "server.second_replid_offset",
    "server.repl_backlog",
    "server.repl_backlog->offset",
    "server.repl_backlog->histlen",
)
_SHOWN = 40  # characters of an ID that was asked for: it may be anything


class Decision(NamedTuple):
    """Whether a partial resynchronization is granted, the rules that were looked at, and those that were not."""

    granted: bool
    conditions: list[Condition]
    unused: tuple[str, ...] = ()


class _Reasons:
    """The rules that have been looked at."""

    def __init__(self) -> None:
        self.conditions: list[Condition] = []

    def look(self, number: int, holds: bool, text: str) -> bool:
        """Note the result of a rule, and return it."""
        self.conditions.append(Condition(holds, text, f"{RULES[number]} · {FUNCTION}"))
        return holds

    def decision(self, granted: bool, next_rule: int) -> Decision:
        """Return the decision; rules from `next_rule` on were not reached."""
        return Decision(granted, self.conditions, RULES[next_rule:])


def decide(
    replication: "Replication", replid: bytes, offset: int, peer: str = "the replica", me: str = "this node"
) -> Decision:
    """Return whether a replica can continue this history, with the byte at `offset` as the next one.

    The sentences state what is so, for the replica `peer` and the node `me`; ✓ and ✗ tell whether the rule is met.
    """
    reasons = _Reasons()
    asked = replid[:_SHOWN].decode("ascii", "replace")
    mine, second = replication.replid.decode(), replication.replid2.decode()
    if replid[:1] == b"?":
        reasons.look(0, False, f"{peer} names no history: it asks for any")
        return reasons.decision(False, 1)
    if replid.lower() == replication.replid.lower():
        reasons.look(0, True, f"{peer} asks for {asked}, the replication ID of {me}")
    else:
        reasons.look(0, False, f"{peer} asks for {asked}; the replication ID of {me} is {mine}")
        if replid.lower() != replication.replid2.lower():
            has = f"{me} has no second ID" if replication.replid2 == NO_ID else f"the second ID of {me} is {second}"
            reasons.look(1, False, has)
            return reasons.decision(False, 2)
        reasons.look(1, True, f"it is the second ID of {me}: the history that {me} continued")
        limit = replication.second_replid_offset
        if offset > limit:
            reasons.look(2, False, f"offset {offset} is past {limit}, where {me} left that history")
            return reasons.decision(False, 3)
        reasons.look(2, True, f"offset {offset} is {_at(offset, limit)} {limit}, where {me} left that history")
    backlog = replication.backlog
    if backlog is None:
        reasons.look(3, False, f"{me} has no backlog")
        return reasons.decision(False, 4)
    reasons.look(3, True, f"{me} has a backlog")
    first, end = backlog.first_offset, backlog.end
    if offset < first:
        reasons.look(4, False, f"offset {offset} is before the first byte of the backlog, {first}")
        return reasons.decision(False, 5)
    reasons.look(4, True, f"offset {offset} is {_at(first, offset, 'past')} the first byte of the backlog, {first}")
    if offset > end:
        reasons.look(5, False, f"offset {offset} is past the end of the backlog, {end}")
        return reasons.decision(False, 6)
    reasons.look(5, True, f"offset {offset} is {_at(offset, end)} the end of the backlog, {end}")
    return reasons.decision(True, 6)


def _at(lower: int, upper: int, word: str = "before") -> str:
    return "at" if lower == upper else word


__all__ = ["FUNCTION", "RULES", "Decision", "decide"]
