"""Which checkpoints of a history are kept: many of the recent past, fewer of the distant past.

The distance between two checkpoints is what it costs to run from one to the next. Of the last `DENSE` distances every
checkpoint is kept; before that, the distance grows with the age, so that their number grows with the logarithm of the
history's length. When they take more memory than `BYTES_MAX`, the distant past becomes thinner until it fits.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.simulation.history import HistoryPosition, WorldCheckpoint

EVERY_EVENTS = 250  # between two checkpoints
EVERY_STEPS = 1_500
DENSE = 40  # distances of these: ten thousand events
BYTES_MAX = 256 << 20
SCARCITY_MAX = 20.0


def distance(first: "HistoryPosition", second: "HistoryPosition") -> float:
    """Return how far apart two places are; 1 is the distance of checkpoints in the recent past."""
    return max((second.happened - first.happened) / EVERY_EVENTS, (second.steps - first.steps) / EVERY_STEPS)


def size_bytes(kept: "list[WorldCheckpoint]") -> int:
    """Return the memory that checkpoints take; nodes that did not change share theirs."""
    nodes = {id(state): len(state) for checkpoint in kept for _, state in checkpoint.nodes.values()}
    return sum(nodes.values()) + sum(len(checkpoint.world) for checkpoint in kept)


def thin(kept: "list[WorldCheckpoint]") -> None:
    """Drop checkpoints that are closer to each other than their age requires."""
    if len(kept) <= DENSE:
        return
    scarcity = 1.0
    while True:
        kept[:] = _thinned(kept, scarcity)
        if scarcity > SCARCITY_MAX or size_bytes(kept) <= BYTES_MAX:
            return
        scarcity *= 1.5


def _thinned(kept: "list[WorldCheckpoint]", scarcity: float) -> "list[WorldCheckpoint]":
    last, left = kept[-1].place, [kept[0]]
    for checkpoint, following in pairwise(kept[1:]):
        age = distance(checkpoint.place, last)
        allowed = age / DENSE * scarcity if age > DENSE else 0.0
        if distance(left[-1].place, following.place) > allowed:
            left.append(checkpoint)
    return [*left, kept[-1]]


__all__ = ["DENSE", "EVERY_EVENTS", "EVERY_STEPS", "distance", "size_bytes", "thin"]
