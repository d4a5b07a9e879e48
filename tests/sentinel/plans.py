"""What happens to a group of Sentinels, by seed, and what has to hold whatever happens.

Machines crash, lose power, are paused, are cut off from each other; clocks jump. Throughout:

- a Sentinel votes for no more than one other in an epoch, also after a crash;
- no two Sentinels lead failovers in the same epoch, and who leads has the votes of a majority and of the quorum;
- a failover begins only when as many Sentinels as the quorum demands have taken the master for down of late;
- a Sentinel's configuration epoch of a master never goes back, also after a crash.

After everything has been healed, all Sentinels agree on one master, and all servers follow it.
"""

from collections import deque

from engine.simulation.actions import (
    ActionError,
    Continue,
    Crash,
    Heal,
    Pause,
    PullPlug,
    SetClock,
    SetLink,
    Start,
)
from engine.simulation.trace import Logged
from engine.values.rng import Rng
from tests.seeds import cut_some_off
from tests.sentinel.group import NAME, SECOND, Group

RECENTLY_US = 10 * SECOND  # what a Sentinel says of a master is kept for five seconds, and may travel for long
SETTLE_S = 150  # the retry after 2 × failover-timeout, TILT, and slow discoveries


class BrokenError(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """What is known of votes, leaders and epochs."""

    def __init__(self, group: Group, quorum: int) -> None:
        self.group = group
        self.quorum = quorum
        self.votes: dict[tuple[str, int], str] = {}  # (Sentinel, epoch) -> for whom
        self.leaders: dict[int, str] = {}  # epoch -> Sentinel
        self.down: dict[str, bool] = {}
        self.down_until_us: dict[str, int] = {}  # when it last took its master for down, if it does not any more
        self.config_epochs: dict[str, int] = {}
        self.ids: dict[str, str] = {}
        self.failovers = self.promoted = 0
        self.recent: deque[str] = deque(maxlen=60)
        group.world.observers.append(self.told)

    def told(self, event: object) -> None:
        if not isinstance(event, Logged) or event.text[0] not in "+-" or event.host not in self.group.sentinels:
            return
        host, (kind, _, text) = event.host, event.text.partition(" ")
        self.recent.append(f"{event.at_us / SECOND % 10000:.3f} {host} {kind} {text}")
        self.ids[host] = self.group.monitor(host).settings.my_id
        master = self.group.master(host)
        if kind == "+vote-for-leader":
            run_id, epoch = text.split()
            before = self.votes.setdefault((host, int(epoch)), run_id)
            self.check(before == run_id, f"{host} voted for {before} and {run_id} in epoch {epoch}")
        elif kind == "+sdown" and text.startswith("master "):
            self.down[host] = True
        elif kind in ("-sdown", "+switch-master") and (kind[0] == "+" or text.startswith("master ")):
            if self.down.pop(host, False):
                self.down_until_us[host] = event.at_us
        elif kind == "+try-failover":
            self.failovers += 1
            oldest_us = event.at_us - RECENTLY_US
            agree = {each for each, until_us in self.down_until_us.items() if until_us > oldest_us} | set(self.down)
            self.check(len(agree) >= self.quorum, f"{host} fails over, only {sorted(agree)} take the master for down")
        elif kind == "+elected-leader":
            epoch, voters = master.failover_epoch, len(self.group.sentinels)
            other = self.leaders.setdefault(epoch, host)
            self.check(other == host, f"{other} and {host} lead in epoch {epoch}")
            mine = sum(run_id == self.ids[host] for (_, voted_in), run_id in self.votes.items() if voted_in == epoch)
            needed = max(voters // 2 + 1, self.quorum)
            self.check(mine >= needed, f"{host} leads in epoch {epoch} with {mine} votes of {voters}")
        elif kind == "+promoted-slave":
            self.promoted += 1
            self.check(self.leaders.get(master.failover_epoch) == host, f"{host} has promoted and does not lead")

    def look(self) -> None:
        """Check what does not show in events."""
        for name in self.group.sentinels:
            if self.group.world.hosts[name].node is None:
                # What it took for down it takes for down no longer, once it has started anew.
                if self.down.pop(name, False):
                    self.down_until_us[name] = self.group.world.now_us
                continue
            epoch = self.group.master(name).config_epoch
            before = self.config_epochs.get(name, 0)
            self.check(epoch >= before, f"the configuration epoch of {name} went back from {before} to {epoch}")
            self.config_epochs[name] = epoch

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            raise BrokenError("\n".join((what, *self.recent)))


class Plan:
    """A seed's course of things."""

    def __init__(self, seed: int) -> None:
        self.rng = Rng(seed * 0x9E3779B9 + 7)
        self.sentinels = 3 + 2 * self.rng.below(2)
        self.quorum = self.sentinels // 2 + 1
        timeout = 4000 + 1000 * self.rng.below(8)
        directives = (
            f"down-after-milliseconds {NAME} {1000 + 500 * self.rng.below(5)}",
            f"failover-timeout {NAME} {timeout}",
            f"parallel-syncs {NAME} {1 + self.rng.below(2)}",
        )
        self.group = Group(
            seed,
            servers=3,
            sentinels=self.sentinels,
            quorum=self.quorum,
            directives=directives,
            server_directives=("repl-timeout 10", "repl-ping-replica-period 2"),
            observed=False,
        )
        self.world = self.group.world
        self.invariants = Invariants(self.group, self.quorum)
        self.everybody = [*self.group.servers, *self.group.sentinels]

    def any_of(self, names: list[str]) -> str:
        return names[self.rng.below(len(names))]

    def run(self, seconds: float) -> None:
        """Let time pass, and look at everything again and again."""
        end_us = self.world.now_us + int(seconds * SECOND)
        while self.world.now_us < end_us:
            self.world.run(min(end_us, self.world.now_us + SECOND))
            self.invariants.look()
            self.world.trace.clear()

    def play(self) -> None:
        self.run(12)
        for _ in range(4 + self.rng.below(6)):
            self.fault()
            self.run(1 + self.rng.below(12))
        self.heal()
        self.run(20)
        for _ in range(SETTLE_S // 10):
            if self.settled():
                return
            self.run(10)
        self.settled(must=True)

    def fault(self) -> None:
        """Something goes wrong."""
        choice = self.rng.below(12)
        try:
            if choice < 3:
                self.world.do(Crash(self.master() if self.rng.below(2) else self.any_of(self.everybody)))
            elif choice < 5:
                host = self.any_of(self.everybody)
                self.world.do(PullPlug(host, bool(self.rng.below(2)), self.rng.below(2) * (1 + self.rng.below(40))))
            elif choice < 6:
                self.world.do(Pause(self.any_of(self.everybody)))
            elif choice < 7:
                host = self.any_of(self.everybody)
                jump_us = (self.rng.below(600) - 300) * SECOND
                self.world.do(SetClock(host, self.world.hosts[host].clock_offset_us + jump_us))
            elif choice < 9:
                self.cut()
            elif choice < 10:
                a, b = self.any_of(self.everybody), self.any_of(self.everybody)
                if a != b:
                    self.world.do(SetLink(a, b, self.rng.below(800_000), 0))
            else:
                self.restart(self.any_of(self.everybody))
        except ActionError:
            pass  # it is down already

    def master(self) -> str:
        """Return the server that most Sentinels take for the master."""
        where = self.group.masters()
        if not where:
            return self.group.servers[0]
        last = max(where, key=where.count)
        return next(name for name in self.group.servers if self.world.hosts[name].ip.endswith(f".{last}"))

    def cut(self) -> None:
        """Cut some machines off from the others."""
        cut_some_off(self.world, self.rng, self.everybody)

    def restart(self, host: str) -> None:
        state = self.world.hosts[host].state
        if state == "down":
            self.world.do(Start(host))
        elif state == "paused":
            self.world.do(Continue(host))
        else:
            for a in self.everybody:
                if a != host:
                    self.world.do(Heal(a, host))

    def heal(self) -> None:
        """Nothing is wrong any more."""
        for i, a in enumerate(self.everybody):
            for b in self.everybody[i + 1 :]:
                self.world.do(Heal(a, b))
                self.world.do(SetLink(a, b, 500, 0))
        for host in self.everybody:
            self.world.hosts[host].crash_after = 0
            if self.world.hosts[host].state in ("down", "paused"):
                self.restart(host)

    def settled(self, must: bool = False) -> bool:
        try:
            self.group.check_settled()
        except AssertionError as error:
            if must:
                raise BrokenError("\n".join((f"not settled: {error}", *self.invariants.recent))) from None
            return False
        return True


def play(seed: int) -> Plan:
    """Play a seed; raises BrokenError."""
    plan = Plan(seed)
    plan.play()
    return plan
