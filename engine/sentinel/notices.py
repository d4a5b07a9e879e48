"""Events: what a Sentinel tells of itself, in its log, on channels, and through notification scripts.

The type of an event is also its channel. What is told of an instance begins with its kind, name and address, and with
its master's if it is none itself:

    +sdown    slave 172.16.6.20:6379 172.16.6.20 6379 @ mymaster 172.16.6.18 6379

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages
"""

from collections.abc import Iterable

from engine.clients.pubsub import PubSub
from engine.config.kinds import to_bytes
from engine.core import Core
from engine.observe.events import Condition, SentinelDecided, SentinelEvent
from engine.sentinel.addresses import Address, Addresses
from engine.sentinel.instances import Instance, Master
from engine.sentinel.scripts import ScriptQueue


class Notices:
    """Tells of events. Levels are those of the log: only `#` calls scripts, and `.` is not published."""

    def __init__(self, core: Core, addresses: Addresses, pubsub: PubSub, scripts: ScriptQueue) -> None:
        self.addresses = addresses
        self.clock = core.clock
        self.output = core.output
        self.pubsub = pubsub
        self.events = core.events
        self.scripts = scripts

    def tell(self, level: str, kind: str, text: str, about: Master | None = None) -> None:
        """Tell of an event in these words; of which master, for its notification script."""
        self.output.log(level, f"{kind} {text}")
        if self.events.observers:
            self.events.emit(SentinelEvent(self.clock.monotonic_us, kind, text))
        if level != ".":
            self.pubsub.publish(kind.encode(), to_bytes(text))
        if level == "#" and about is not None and about.notification_script:
            self.scripts.schedule(about.notification_script, kind, text)

    @property
    def observed(self) -> bool:
        """Whether anybody wants to know the reasons of decisions."""
        return bool(self.events.observers)

    def decided(self, question: str, conditions: Iterable[Condition], answer: str) -> None:
        """Tell observers the reasons of a decision. Guard calls with `if notices.observed`."""
        self.events.emit(SentinelDecided(self.clock.monotonic_us, question, tuple(conditions), answer))

    def about(self, level: str, kind: str, instance: Instance, more: str = "") -> None:
        """Tell of an event of an instance, which is named first."""
        self.tell(level, kind, self.describe(instance) + (f" {more}" if more else ""), instance.master)

    def brief(self, instance: Instance) -> str:
        """Return an instance as the reasons of decisions name it: a master by its name, others by their address."""
        return instance.name if instance is instance.master else self.addresses.name(instance.address)

    def describe(self, instance: Instance) -> str:
        """Return the kind, name and address of an instance, and of its master."""
        text = f"{instance.kind} {instance.name} {self._place(instance.address)}"
        master = instance.master
        return text if instance is master else f"{text} @ {master.name} {self._place(master.address)}"

    def _place(self, address: Address) -> str:
        return f"{self.addresses.announced(address)} {address.port}"

    def switched(self, master: Master, host: str, port: int) -> None:
        """Tell that a master is now at another address."""
        self.tell("#", "+switch-master", f"{master.name} {self._place(master.address)} {host} {port}", master)

    def reconfigure_clients(self, master: Master, role: str, old: Address, new: Address) -> None:
        """Call the script that tells clients of a new master."""
        if master.client_reconfig_script:
            self.scripts.schedule(
                master.client_reconfig_script,
                master.name,
                role,
                "start",
                *self._place(old).split(" "),
                *self._place(new).split(" "),
            )
