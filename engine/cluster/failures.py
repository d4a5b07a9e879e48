"""Who fails, and whether the cluster is up.

A node that does not answer us for the node timeout is PFAIL, which is our own opinion. It is FAIL when the majority
of masters said so within twice the timeout, and we agree; then everyone is told. The cluster is up, for a node, while
every slot is served by a node that has not failed, and the majority of masters answers.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#failure-detection
"""

from engine.cluster import state as st
from engine.cluster.reasons import Reasons
from engine.cluster.sending import Sender
from engine.cluster.state import ClusterNode, ClusterState
from engine.core import Core
from engine.keyspace.slots import SLOTS
from engine.observe.events import Condition

REPORT_VALIDITY_FACTOR = 2  # times the node timeout
FAIL_UNDO_FACTOR = 2
REJOIN_DELAY_MIN_MS = 500
REJOIN_DELAY_MAX_MS = 5000
WRITABLE_DELAY_MS = 2000  # for which a master that starts does not take writes


class Failures:
    """Detects failures."""

    def __init__(self, core: Core, state: ClusterState, sender: Sender, reasons: Reasons) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.state = state
        self.sender = sender
        self.reasons = reasons
        self.first_evaluated_ms = 0
        self.in_minority_ms = 0  # when we last were among a minority

    # --- reports ------------------------------------------------------------------------------------------------

    def report(self, failing: ClusterNode, reporter: ClusterNode) -> None:
        """A master says that it cannot reach a node."""
        fresh = reporter.name not in failing.reports
        if fresh:
            self.output.log("-", f"Node {reporter.shown} reported node {failing.shown} as not reachable.")
        failing.reports[reporter.name] = self.clock.now_ms
        self.mark_if_failing(failing, fresh)

    def withdraw(self, peer: ClusterNode, reporter: ClusterNode) -> None:
        """A master says that it can reach a node."""
        if peer.reports.pop(reporter.name, None) is not None:
            self.count_reports(peer)
            self.output.log("-", f"Node {reporter.shown} reported node {peer.shown} is back online.")

    def count_reports(self, peer: ClusterNode) -> int:
        """Return how many masters lately said that they cannot reach a node."""
        oldest_ms = self.clock.now_ms - self.config.cluster_node_timeout * REPORT_VALIDITY_FACTOR
        for name in [name for name, told_ms in peer.reports.items() if told_ms < oldest_ms]:
            del peer.reports[name]
        return len(peer.reports)

    # --- FAIL ---------------------------------------------------------------------------------------------------

    def mark_if_failing(self, peer: ClusterNode, explain: bool = False) -> None:
        """Take a node to be down, if it does not answer us either and the majority of masters agrees."""
        state = self.state
        if not peer.flags & st.PFAIL or peer.failed:
            return
        failures = self.count_reports(peer) + state.myself.is_master
        if self.reasons.observed and (explain or failures >= state.quorum):
            self.reasons.failing(peer, failures)
        if failures < state.quorum:
            return
        self.output.log("*", f"Marking node {peer.shown} as failing (quorum reached).")
        self._set_failed(peer)
        self.sender.fail(peer.name)

    def told(self, sender: ClusterNode, name: str) -> None:
        """A node says that the majority takes another to be down."""
        failing = self.state.find(name)
        if failing is not None and not failing.flags & (st.FAIL | st.MYSELF):
            self.output.log("*", f"FAIL message received from {sender.shown} about {failing.shown}")
            if self.reasons.observed:
                self.reasons.told_failing(failing, sender)
            self._set_failed(failing)

    def _set_failed(self, peer: ClusterNode) -> None:
        peer.flags = peer.flags & ~st.PFAIL | st.FAIL
        peer.failed_ms = self.clock.now_ms
        self.state.changed(evaluate=True)

    def answered(self, peer: ClusterNode) -> None:
        """A node has answered our ping: it is no longer PFAIL, and perhaps no longer FAIL."""
        if peer.flags & st.PFAIL:
            peer.flags &= ~st.PFAIL
            self.state.changed(evaluate=True)
            if self.reasons.observed:
                self.reasons.answers_again(peer, (), "yes: no longer PFAIL")
            return
        if not peer.failed:
            return
        reason = ""
        if peer.is_replica or not peer.slots:
            kind = "replica" if peer.is_replica else "master without slots"
            reason = f"{kind} is reachable again."
            self.output.log("*", f"Clear FAIL state for node {peer.shown}:{reason}")
        elif peer.is_master:
            age_ms = self.clock.now_ms - peer.failed_ms
            if age_ms > self.config.cluster_node_timeout * FAIL_UNDO_FACTOR:
                reason = "is reachable again and nobody is serving its slots after some time."
                self.output.log("*", f"Clear FAIL state for node {peer.shown}: {reason}")
        if reason:
            if self.reasons.observed:
                self.reasons.answers_again(peer, [Condition(True, reason)], "yes: no longer FAIL")
            peer.flags &= ~st.FAIL
            self.state.changed(evaluate=True)

    # --- the whole cluster --------------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Decide whether the cluster is up."""
        state, now_ms = self.state, self.clock.now_ms
        state.due.evaluate = False
        self.first_evaluated_ms = self.first_evaluated_ms or now_ms
        is_master = state.myself.is_master
        if is_master and not state.ok and now_ms - self.first_evaluated_ms < WRITABLE_DELAY_MS:
            return  # others may have given its slots away while it was down
        ok = True
        if self.config.cluster_require_full_coverage:
            ok = sum(peer.slots.bit_count() for peer in state.nodes.values() if not peer.flags & st.FAIL) == SLOTS
        masters = [peer for peer in state.nodes.values() if peer.is_master and peer.slots]
        state.size = len(masters)
        reachable = sum(not peer.flags & (st.FAIL | st.PFAIL) for peer in masters)
        if reachable < state.quorum:
            ok = False
            self.in_minority_ms = now_ms
        if ok == state.ok:
            return
        rejoin_ms = min(max(self.config.cluster_node_timeout, REJOIN_DELAY_MIN_MS), REJOIN_DELAY_MAX_MS)
        if ok and is_master and now_ms - self.in_minority_ms < rejoin_ms:
            return  # those who went on without it have time to say what has changed
        self.output.log("*" if ok else "#", f"Cluster state changed: {'ok' if ok else 'fail'}")
        state.ok = ok
        if self.reasons.observed:
            self.reasons.evaluated(ok, reachable)
