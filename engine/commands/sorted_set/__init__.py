"""Sorted set commands: scores and ranks, ranges by either or by bytes, unions and the like, waiting for a member.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from engine.commands.sorted_set import combining, members, popping, ranges

__all__ = ["combining", "members", "popping", "ranges"]
