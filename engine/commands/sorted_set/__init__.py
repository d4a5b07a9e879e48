"""Sorted set commands: scores and ranks, ranges by score, rank or bytes, set operations, blocking pops.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from engine.commands.sorted_set import combining, members, popping, ranges

__all__ = ["combining", "members", "popping", "ranges"]
