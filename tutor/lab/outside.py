"""What the laboratory shows of the ports of this machine on which its nodes are, and of who is connected to them."""

from engine.simulation.gateway import IP
from engine.simulation.world import World
from tutor.lab.drawing import Text


def rows(world: World) -> list[Text]:
    """Return the ports and the connections; nothing if there are none."""
    gateway = world.gateway
    if gateway is None or not gateway.is_open:
        return []
    title = "On this machine" if gateway.sockets is not None else "On this machine at that time"
    ports = [f"{name} {port}" for port, name in gateway.ports.items() if name in world.hosts]
    drawn: list[Text] = [[(title, "strong")], [(f" {IP}  ", "dim"), ("   ".join(ports), "accent")]]
    ends: dict[str, int] = {}
    for connection in gateway.connections.values():
        ends[connection.other(gateway.name)] = ends.get(connection.other(gateway.name), 0) + 1
    told = ", ".join(f"{count} to {name}" for name, count in ends.items())
    drawn.append([(f" connected: {told}" if told else " nobody is connected", "" if told else "dim")])
    return drawn


__all__ = ["rows"]
