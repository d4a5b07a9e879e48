"""Down: subjectively, because this Sentinel does not reach an instance, and objectively, because enough agree.

    S_DOWN    no good reply to PING for `down-after-milliseconds`, or a master that says that it is a replica
    O_DOWN    a master that is S_DOWN here, and of which `quorum` Sentinels say the same, this one included

The others are asked once a second while a master is down, by SENTINEL IS-MASTER-DOWN-BY-ADDR; the same question asks
for their vote once a failover has begun.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sdown-and-odown-failure-state
"""

from engine.config.kinds import to_str
from engine.observe.events import Condition
from engine.protocol.errors import ReplyError
from engine.protocol.resp import Status
from engine.sentinel.instances import (
    MASTER_DOWN,
    MASTER_REBOOT,
    NONE,
    O_DOWN,
    S_DOWN,
    SCRIPT_KILL_SENT,
    Instance,
    Master,
    Peer,
    Replica,
)
from engine.sentinel.links import IGNORE, Links
from engine.sentinel.notices import Notices
from engine.sentinel.watched import Watched

ANSWERS_KEPT = 5  # for so many periods of asking what another Sentinel said holds

SUBJECTIVELY = "sentinel.c, sentinelCheckSubjectivelyDown()"
OBJECTIVELY = "sentinel.c, sentinelCheckObjectivelyDown()"


class Detection:
    """Who is down."""

    def __init__(self, watched: Watched, notices: Notices, links: Links) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.links = links

    # --- PING ---------------------------------------------------------------------------------------------------

    def ponged(self, instance: Instance, reply: object) -> None:
        """A reply to PING came."""
        link, now_ms = instance.link, self.watched.now_ms
        text = reply.text if isinstance(reply, ReplyError) else reply if isinstance(reply, Status) else None
        if text is not None:
            if text.startswith((b"PONG", b"LOADING", b"MASTERDOWN")):
                link.last_available_ms = now_ms
                link.waiting_since_ms = None
                if text.startswith(b"PONG"):
                    instance.flags &= ~MASTER_REBOOT
            elif text.startswith(b"BUSY") and instance.flags & S_DOWN and not instance.flags & SCRIPT_KILL_SENT:
                self.links.ask(instance, IGNORE, "SCRIPT", "KILL")
                instance.flags |= SCRIPT_KILL_SENT
        link.last_pong_ms = now_ms

    def check_subjectively(self, instance: Instance, now_ms: int) -> None:
        """Find out whether an instance is down for this Sentinel."""
        link = instance.link
        if link.waiting_since_ms is not None or link.pubsub is not None:
            self.links.check(instance, now_ms)
        silent_ms = 0
        if link.waiting_since_ms is not None:
            silent_ms = now_ms - link.waiting_since_ms
        elif link.disconnected:
            silent_ms = now_ms - link.last_available_ms
        silent = silent_ms > instance.down_after_ms
        down = silent or (isinstance(instance, Master) and self._misbehaves(instance))
        if down and not instance.flags & S_DOWN:
            if self.notices.observed:
                self._explain(instance, silent, silent_ms)
            self.notices.about("#", "+sdown", instance)
            instance.s_down_since_ms = now_ms
            instance.flags |= S_DOWN
        elif not down and instance.flags & S_DOWN:
            self.notices.about("#", "-sdown", instance)
            instance.flags &= ~(S_DOWN | SCRIPT_KILL_SENT)

    def _misbehaves(self, master: Master) -> bool:
        """Tell whether a master has said for long that it is a replica, or takes long to restart."""
        if master.role_reported != Replica.kind and not master.flags & MASTER_REBOOT:
            return False
        now_ms = self.watched.now_ms
        patience_ms = master.down_after_ms + self.settings.periods.info_period * 2
        return (master.role_reported == Replica.kind and now_ms - master.role_reported_ms > patience_ms) or (
            bool(master.flags & MASTER_REBOOT) and now_ms - master.reboot_since_ms > master.reboot_down_after_ms
        )

    def _explain(self, instance: Instance, silent: bool, silent_ms: int) -> None:
        """Tell why an instance is subjectively down."""
        after_ms = instance.down_after_ms
        compared = f"{'' if silent else 'not '}longer than down-after-milliseconds {after_ms}"
        conditions = [Condition(silent, f"no valid reply to PING for {silent_ms} ms, {compared}", SUBJECTIVELY)]
        if isinstance(instance, Master) and not silent:
            reported_ms = self.watched.now_ms - instance.role_reported_ms
            if instance.role_reported == Replica.kind:
                conditions.append(
                    Condition(True, f"it has reported the role slave for {reported_ms} ms", SUBJECTIVELY)
                )
            else:
                conditions.append(Condition(True, "it restarted and does not answer yet", SUBJECTIVELY))
        self.notices.decided(f"Is {self.notices.brief(instance)} subjectively down?", conditions, "s_down")

    # --- the others ---------------------------------------------------------------------------------------------

    def check_objectively(self, master: Master) -> None:
        """Find out whether enough Sentinels say that a master is down."""
        self._forget_old_answers(master)
        if not master.flags & (S_DOWN | O_DOWN):
            return
        agree = 0
        if master.flags & S_DOWN:
            agree = 1 + sum(bool(peer.flags & MASTER_DOWN) for peer in master.sentinels.values())
        if agree and agree >= master.quorum:
            if not master.flags & O_DOWN:
                if self.notices.observed:
                    self._explain_agreement(master, agree)
                self.notices.about("#", "+odown", master, f"#quorum {agree}/{master.quorum}")
                master.flags |= O_DOWN
                master.o_down_since_ms = self.watched.now_ms
        elif master.flags & O_DOWN:
            self.notices.about("#", "-odown", master)
            master.flags &= ~O_DOWN

    def _explain_agreement(self, master: Master, agree: int) -> None:
        """Tell why a master is objectively down."""
        conditions = [Condition(True, "this Sentinel says that it is down", OBJECTIVELY)]
        for peer in master.sentinels.values():
            down = bool(peer.flags & MASTER_DOWN)
            say = "says that it is down" if down else "does not say that it is down"
            conditions.append(Condition(down, f"{self.notices.brief(peer)} {say}", OBJECTIVELY))
        conditions.append(Condition(True, f"{agree} agree, and the quorum is {master.quorum}", OBJECTIVELY))
        self.notices.decided(f"Is {self.notices.brief(master)} objectively down?", conditions, "o_down")

    def _forget_old_answers(self, master: Master) -> None:
        """Forget old answers of other Sentinels, before anything is decided: during TILT, none were requested."""
        oldest_ms = self.watched.now_ms - self.settings.periods.ask_period * ANSWERS_KEPT
        for peer in master.sentinels.values():
            if peer.last_answer_ms < oldest_ms:
                peer.flags &= ~MASTER_DOWN
                peer.leader = ""

    def ask_others(self, master: Master, forced: bool = False) -> None:
        """Ask the other Sentinels about a master that is down, and for their votes once a failover has begun."""
        if not master.flags & S_DOWN:
            return
        now_ms, ask_period, addresses = self.watched.now_ms, self.settings.periods.ask_period, self.watched.addresses
        for peer in master.sentinels.values():
            if peer.link.disconnected:
                continue
            if not forced and now_ms - peer.last_answer_ms < ask_period:
                continue
            self.links.ask(
                peer,
                "is-master-down",
                "SENTINEL",
                "is-master-down-by-addr",
                addresses.announced(master.address),
                str(master.address.port),
                # Votes are for the epoch of the failover: a later epoch belongs to the Sentinel that began it.
                str(self.settings.current_epoch if master.failover_state == NONE else master.failover_epoch),
                "*" if master.failover_state == NONE else self.settings.my_id,
            )

    def answered(self, peer: Peer, reply: object) -> None:
        """Another Sentinel said what it thinks of the master, and perhaps for whom it has voted."""
        if not isinstance(reply, list) or len(reply) != 3:
            return
        down, leader, epoch = reply
        if not (isinstance(down, int) and isinstance(leader, bytes) and isinstance(epoch, int)):
            return
        peer.last_answer_ms = self.watched.now_ms
        if down == 1:
            peer.flags |= MASTER_DOWN
        else:
            peer.flags &= ~MASTER_DOWN
        if leader != b"*":
            if peer.leader_epoch != epoch:
                self.notices.output.log("*", f"{peer.name} voted for {to_str(leader)} {epoch}")
            peer.leader = to_str(leader)
            peer.leader_epoch = epoch
