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

    def default_needs_no_password(self) -> bool:
        """Tell whether the default user logs in with any password."""
        return not self.node.config.requirepass

    def has_user(self, name: bytes) -> bool:
        """Tell whether there is a user of that name."""
        return name == DEFAULT_USER

    def authenticate(self, client: "Client", user: bytes, password: bytes) -> None:
        """Log a client in; raises WRONGPASS."""
        if user != DEFAULT_USER or (self.node.config.requirepass not in (b"", password)):
            raise ReplyError(b"WRONGPASS invalid username-password pair or user is disabled.")
        client.user = user
        client.authenticated = True
        client.update_gated()

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


def check_user_line(argv: list[bytes]) -> tuple[int, bytes] | None:
    """Return which argument of a configuration file's `user` line is wrong and why, or None."""
    return None
