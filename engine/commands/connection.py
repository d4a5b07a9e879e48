"""Connection commands: who talks, in which protocol, to which database.

https://redis.io/docs/latest/commands/?group=connection
"""

from engine.client import Client
from engine.errors import wrong_arity
from engine.resp import PONG, Argv, Reply
from engine.table import FAST, command


@command("PING [message]", FAST, since="1.0.0", complexity="O(1)")
def ping(ctx: Client, argv: Argv) -> Reply:
    if len(argv) > 2:
        raise wrong_arity(b"ping")
    return argv[1] if len(argv) == 2 else PONG
