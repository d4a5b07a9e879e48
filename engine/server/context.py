"""Clients as the handlers of their commands see them: with the whole server."""

from typing import TYPE_CHECKING

from engine.clients.client import Client

if TYPE_CHECKING:
    from engine.server import Server


class Context(Client):
    """A client as seen by the handlers of its commands."""

    __slots__ = ("node",)

    def __init__(self, node: "Server", client_id: int = 0, link: int = 0, peer: str = "", local: str = "") -> None:
        super().__init__(node.shared, client_id, link, peer, local)
        self.node = node


class MasterContext(Context):
    """The client that represents the master: it sends no replies."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """Drop a reply, a message or a line of MONITOR."""
