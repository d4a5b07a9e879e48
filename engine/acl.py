"""Who may do what: users, passwords, permissions.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

from typing import TYPE_CHECKING

from engine.errors import ReplyError
from engine.resp import Argv
from engine.table import Command

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node

DEFAULT_USER = b"default"


class Acl:
    """The users of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node

    def welcome(self, client: "Client") -> None:
        """Give a new client its first user."""
        client.user = DEFAULT_USER
        client.authenticated = not self.node.config.requirepass

    def unrestricted(self, user: bytes | None) -> bool:
        """Tell whether a user may run every command on every key and channel, so that no check is needed."""
        return user == DEFAULT_USER

    def refusal(self, ctx: "Client", command: Command, argv: Argv) -> ReplyError | None:
        """Return why a client may not run a command, or None."""
        return None
