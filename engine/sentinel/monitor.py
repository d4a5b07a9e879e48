"""The parts of a Sentinel put together, and the timer that drives them: ten to twenty times a second, at random.

If much more time has passed than it should have, or the clock went back, something is wrong with the machine rather
than with those that are watched: the Sentinel goes on looking, but does nothing for half a minute (TILT).

Add a periodic task to `Monitor.tick`, or to `Monitor._handle` and `Monitor._is_quiet` if it concerns each instance.
What is sent periodically belongs in `Links.send_periodic`; periods that SENTINEL DEBUG shows, in `Periods`.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#tilt-mode
"""

from engine.clients.pubsub import PubSub
from engine.core import Core
from engine.effects import Resolve
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.detection import Detection
from engine.sentinel.failover import Failover
from engine.sentinel.hello import Hello
from engine.sentinel.information import Information
from engine.sentinel.instances import FAILOVER_IN_PROGRESS, O_DOWN, S_DOWN, UPDATE_CONFIG, Instance, Master, Replica
from engine.sentinel.links import Links
from engine.sentinel.notices import Notices
from engine.sentinel.scripts import ScriptQueue
from engine.sentinel.settings import ID_DIGITS
from engine.sentinel.votes import Votes
from engine.sentinel.watched import Watched

HZ = 10


class Monitor:
    """A Sentinel, without the clients that talk to it."""

    def __init__(self, core: Core, watched: Watched, pubsub: PubSub) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.clock = core.clock
        self.output = core.output
        self.rng = core.rng
        watched.clock = core.clock
        watched.addresses.lookup = self.look_up
        watched.addresses.log = core.output.log
        self.scripts = ScriptQueue(self.settings.periods, core.clock, core.output)
        self.notices = Notices(core, watched.addresses, pubsub, self.scripts)
        self.scripts.event = self.notices.tell
        self.file = ConfigurationFile(watched, core.output)
        self.links = Links(core.config, watched, self.notices, core.dialer)
        self.votes = Votes(watched, self.notices, self.file, core.rng)
        self.failover = Failover(watched, self.notices, self.file, self.links, self.votes)
        self.information = Information(watched, self.notices, self.file, self.links, self.failover)
        self.hello = Hello(watched, self.notices, self.file, self.links, self.votes, self.failover)
        self.detection = Detection(watched, self.notices, self.links)
        self.links.hello = self.hello.heard
        self.links.answers = {
            "ping": self.detection.ponged,
            "info": self.information.answered,
            "publish": self.hello.published,
            "is-master-down": self.detection.answered,
        }
        self.tilt_since_ms = 0
        self.previous_wall_ms = 0

    def look_up(self, host: str) -> str:
        """Return the IP address of a host name. Raises OSError."""
        ip: str = self.output.run_now(Resolve(host))
        return ip

    def start(self) -> None:
        """Begin to watch."""
        if not self.settings.my_id:
            self.settings.my_id = self.rng.hex(ID_DIGITS).decode()
            self.file.flush()
        self.output.log("*", f"Sentinel ID is {self.settings.my_id}")
        for master in self.watched.masters.values():
            self.notices.about("#", "+monitor", master, f"quorum {master.quorum}")
        self.previous_wall_ms = self.clock.now_ms

    def tick(self) -> int:
        """Do what is due; returns when to do so again (monotonic, in µs)."""
        self._check_tilt()
        masters = list(self.watched.masters.values())
        now_ms = self.watched.now_ms
        for master in masters:
            self._handle(master, now_ms)
            for replica in list(master.replicas.values()):
                if not self._is_quiet(replica, now_ms):
                    self._handle(replica, now_ms)
            for peer in list(master.sentinels.values()):
                if not self._is_quiet(peer, now_ms):
                    self._handle(peer, now_ms)
        for master in masters:
            if master.failover_state == UPDATE_CONFIG:
                self.failover.switch(master)
        self.scripts.cron()
        # Sentinels that started together must not go on asking for votes at the same moments.
        return self.clock.monotonic_us + 1_000_000 // (HZ + self.rng.below(HZ))

    def _check_tilt(self) -> None:
        settings, wall_ms = self.settings, self.clock.now_ms
        passed_ms = wall_ms - self.previous_wall_ms
        if passed_ms < 0 or passed_ms > settings.periods.tilt_trigger:
            settings.tilt = True
            self.tilt_since_ms = self.watched.now_ms
            self.notices.tell("#", "+tilt", "#tilt mode entered")
        self.previous_wall_ms = wall_ms

    def _is_quiet(self, instance: Instance, now_ms: int) -> bool:
        """Return whether `_handle` would do nothing for a replica or Sentinel, as in most ticks.

        Periods that end and states other than the usual ones return False, even if there is nothing to do.
        """
        link, periods = instance.link, self.settings.periods
        if instance.flags or instance.master.flags or link.disconnected or link.waiting_since_ms is not None:
            return False
        silent_ms = now_ms - link.last_pong_ms
        if (
            silent_ms > periods.ping_period
            or silent_ms > instance.down_after_ms
            or now_ms - instance.last_hello_sent_ms > periods.publish_period
            or self.settings.tilt
        ):
            return False
        return not isinstance(instance, Replica) or (
            not instance.master_link_down_ms
            and now_ms - instance.info_refresh_ms <= periods.info_period
            and now_ms - link.heard_ms <= periods.publish_period * 3
        )

    def _handle(self, instance: Instance, now_ms: int) -> None:
        if instance.link.disconnected:
            self.links.reconnect(instance)
        self.links.send_periodic(instance, now_ms)
        settings = self.settings
        if settings.tilt:
            if now_ms - self.tilt_since_ms < settings.periods.tilt_period:
                return
            settings.tilt = False
            self.notices.tell("#", "-tilt", "#tilt mode exited")
        self.detection.check_subjectively(instance, now_ms)
        if isinstance(instance, Master):
            self.detection.check_objectively(instance)
            if instance.flags & (S_DOWN | O_DOWN | FAILOVER_IN_PROGRESS):
                if self.failover.start_if_needed(instance):
                    self.detection.ask_others(instance, forced=True)
                self.failover.step(instance)
                self.detection.ask_others(instance)
