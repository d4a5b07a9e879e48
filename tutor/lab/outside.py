"""What the laboratory shows of the ports of this machine on which its nodes are, and of who is connected to them."""

from engine.simulation.gateway import IP, NAME
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
    told = connected(world)
    drawn.append([(f" connected: {told}" if told else " nobody is connected", "" if told else "dim")])
    return drawn


def connected(world: World) -> str:
    """Return how many connections each node has with the outside, as `1 to A, 2 to C`; "" if there are none."""
    gateway = world.gateway
    ends = [each.other(NAME) for each in gateway.connections.values()] if gateway is not None else []
    return ", ".join(f"{ends.count(name)} to {name}" for name in world.hosts if name in ends)


__all__ = ["connected", "rows"]
