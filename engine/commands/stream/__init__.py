"""Stream commands: adding, reading and removing entries, consumer groups, information.

https://redis.io/docs/latest/commands/?group=stream
"""

from engine.commands.stream import entries, groups, info, reading

__all__ = ["entries", "groups", "info", "reading"]
