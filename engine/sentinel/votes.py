"""Votes: which Sentinel leads a failover.

A Sentinel that wants to lead begins a new epoch and asks the others for their votes. A Sentinel votes once per
epoch, for the first one that asks, and its vote is on disk before it is sent. A candidate needs the votes of a
majority of all known Sentinels, and at least `quorum` votes.

    epoch  7      A asks B and C       B, C: "A, 7"      A leads
    epoch  8      A and B ask at once  C: "A, 8"         A has 2 of 3; B, which hears nothing more, tries again later

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#configuration-epochs
"""

from engine.observe.events import Condition, stated
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.instances import Master
from engine.sentinel.notices import Notices
from engine.sentinel.watched import Watched
from engine.values.rng import Rng

DESYNC_MAX_MS = 1000  # failovers start up to so much later, so that not all ask for votes at once

VOTE = "sentinel.c, sentinelVoteLeader()"
LEADER = "sentinel.c, sentinelGetLeader()"


class Votes:
    """The votes of a Sentinel, and those that it hears of."""

    def __init__(self, watched: Watched, notices: Notices, file: ConfigurationFile, rng: Rng) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.file = file
        self.rng = rng

    def desync_ms(self) -> int:
        """Return a random delay."""
        return self.rng.below(DESYNC_MAX_MS)

    def see_epoch(self, epoch: int, master: Master) -> None:
        """Take a later epoch over."""
        settings = self.settings
        if epoch > settings.current_epoch:
            settings.current_epoch = epoch
            self.file.flush()
            self.notices.tell("#", "+new-epoch", str(epoch), master)

    def vote(self, master: Master, epoch: int, run_id: str) -> tuple[str, int]:
        """Vote for a Sentinel in an epoch unless there is a vote already; returns for whom, in which epoch."""
        self.see_epoch(epoch, master)
        settings = self.settings
        grants = master.leader_epoch < epoch and settings.current_epoch <= epoch
        if self.notices.observed and (
            grants or run_id.lower() not in (settings.my_id.lower(), master.leader.lower())
        ):
            self._explain(master, epoch, run_id, grants)
        if grants:
            master.leader = run_id
            master.leader_epoch = settings.current_epoch
            self.file.flush()
            self.notices.tell("#", "+vote-for-leader", f"{run_id} {master.leader_epoch}", master)
            if run_id.lower() != settings.my_id.lower():
                # Another one is at it: this one does not begin a failover of its own for a while.
                master.failover_start_ms = self.watched.now_ms + self.desync_ms()
        return master.leader, master.leader_epoch

    def _explain(self, master: Master, epoch: int, run_id: str, grants: bool) -> None:
        """Tell why a Sentinel gets the vote, or does not. The same refusal is told once."""
        if not grants:
            if master.refused == (run_id, epoch):
                return
            master.refused = run_id, epoch
        settings, who = self.settings, self.who(master, run_id)
        current = settings.current_epoch
        reached = f"the current epoch is {current}"
        conditions = [stated(current <= epoch, reached, f"{reached}, later than {epoch}", VOTE)]
        if master.leader_epoch < epoch:
            conditions.append(Condition(True, f"no vote has been given in epoch {epoch}", VOTE))
        else:
            # After a restart only the epoch is known: the file does not hold for whom the vote was.
            whom = self.who(master, master.leader) if master.leader else "a candidate that the file does not name"
            voted = f"the vote of epoch {master.leader_epoch} went to {whom}"
            conditions.append(Condition(False, voted, VOTE))
        answer = f"votes for {who}" if grants else "refuses"
        self.notices.decided(f"Vote for {who} in epoch {epoch}?", conditions, answer)

    def who(self, master: Master, run_id: str) -> str:
        """Return how the reasons of decisions name a Sentinel."""
        if run_id.lower() == self.settings.my_id.lower():
            return "itself"
        peer = master.sentinels.get(run_id)
        return self.notices.brief(peer) if peer is not None else f"{run_id[:8]}…"

    def explain_election(self, master: Master, epoch: int, answer: str) -> None:
        """Tell who voted for whom in a failover's epoch, and what that means."""
        me = self.settings.my_id.lower()
        if master.leader_epoch == epoch:
            voted = f"this Sentinel voted for {self.who(master, master.leader)}"
            conditions = [Condition(master.leader.lower() == me, voted, LEADER)]
        else:
            conditions = [Condition(False, "this Sentinel has not voted", LEADER)]
        for peer in master.sentinels.values():
            brief = self.notices.brief(peer)
            if peer.leader and peer.leader_epoch == epoch:
                whom = self.who(master, peer.leader)
                text = f"{brief} voted for {'this Sentinel' if whom == 'itself' else whom}"
                conditions.append(Condition(peer.leader.lower() == me, text, LEADER))
            else:
                conditions.append(Condition(False, f"{brief} has not answered with a vote", LEADER))
        votes = sum(condition.holds for condition in conditions)
        voters = len(master.sentinels) + 1
        majority = voters // 2 + 1
        count = f"{votes} vote{'s' * (votes != 1)}"
        conditions.append(Condition(votes >= majority, f"{count}; the majority of {voters} is {majority}", LEADER))
        conditions.append(Condition(votes >= master.quorum, f"{count}; the quorum is {master.quorum}", LEADER))
        self.notices.decided(f"Does it lead the failover of {master.name} in epoch {epoch}?", conditions, answer)

    def leader(self, master: Master, epoch: int) -> str:
        """Return the leader of a master's failover in an epoch; empty if there is none (yet)."""
        votes: dict[str, int] = {}
        for peer in master.sentinels.values():
            # Redis counts the votes of the present epoch, which another Sentinel may have begun meanwhile: together
            # with its own vote of the earlier one, a second leader could come of that.
            if peer.leader and peer.leader_epoch == epoch:
                votes[peer.leader] = votes.get(peer.leader, 0) + 1
        # Its own vote, if it has not voted, goes to the Sentinel with the most votes, so that one wins.
        favourite = max(votes, key=votes.__getitem__, default="")
        mine, mine_epoch = self.vote(master, epoch, favourite or self.settings.my_id)
        if mine and mine_epoch == epoch:
            votes[mine] = votes.get(mine, 0) + 1
            if not favourite or votes[mine] > votes[favourite]:
                favourite = mine
        voters = len(master.sentinels) + 1
        majority = voters // 2 + 1
        return favourite if favourite and votes[favourite] >= max(majority, master.quorum) else ""
