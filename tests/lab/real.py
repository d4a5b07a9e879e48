"""The laboratory's scenarios on real servers, beside the simulated ones: the same has to come of it.

    python -m tests.lab.real [--server PATH | --ours] [--jobs 7] [SCENARIO …]

Each step of a scenario is done on real processes behind a network that fails as the simulated one does, in real time.
After each step everything that the scenario expects has to hold for the real nodes too, and what is so of them has to
be what is so of the simulated ones: states, roles, links, `sync_full`, `sync_partial_ok`, `sync_partial_err`,
replicas, who shares a replication ID with whom, and the data (DEBUG DIGEST). Nothing is waited for longer than the
scenario says, and `SLACK_S` for a machine that is busy.

A scenario that real servers cannot play says why (`simulated_only`), and that is printed.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import redis

from engine.keyspace.digest import dataset_digest
from engine.simulation.actions import ActionError
from engine.simulation.state import PROMPT, NodeView, node_views
from tests.lab.machines import Machines, can_host
from tests.real import Program, examine, find_servers
from tutor.lab.actions import run_line
from tutor.lab.loader import find, names, read_scenario
from tutor.lab.model import ScenarioSpec, StepSpec
from tutor.lab.runner import Findings, ScenarioRunner, unheard, unmet

SLACK_S = 10.0
LOOK_AGAIN_S = 0.05
LAST_LINES = 25  # of a node's log, with what differs

# What another server says in other words.
SYNONYMS = {"valkey": {"Unable to AUTH to MASTER": "Unable to AUTH to PRIMARY"}}


class Summary(NamedTuple):
    """What has to be equal of a simulated and a real node."""

    state: str
    role: str = ""
    linked: bool = False
    sync_full: int = 0
    sync_partial_ok: int = 0
    sync_partial_err: int = 0
    replicas: int = 0
    former_history: bool = False
    shares_id_with: tuple[str, ...] = ()
    digest: str = ""


class Outcome(NamedTuple):
    """What came of a scenario: what is wrong, and how long it took."""

    name: str
    wrong: list[str]
    seconds: float
    skipped: str = ""


def summaries(nodes: dict[str, NodeView], digests: dict[str, str]) -> dict[str, Summary]:
    """Return what has to be equal. A process that stands still can be asked nothing but that."""
    answering = [node for node in nodes.values() if node.state == "up"]
    return {
        name: Summary(
            node.state,
            node.role,
            node.link == "up",
            node.sync_full,
            node.sync_partial_ok,
            node.sync_partial_err,
            len(node.replicas),
            bool(node.replid2),
            tuple(other.name for other in answering if other.replid == node.replid),
            digests[name],
        )
        if node in answering
        else Summary(node.state)
        for name, node in nodes.items()
    }


def simulated(runner: ScenarioRunner) -> dict[str, Summary]:
    """Return what is so in a simulated world."""
    world = runner.history.world
    digests = {
        name: dataset_digest(host.node.space).decode() if host.node is not None and host.state == "up" else ""
        for name, host in world.hosts.items()
    }
    return summaries(node_views(world), digests)


class RealRunner:
    """A scenario that is played on real servers."""

    def __init__(self, spec: ScenarioSpec, machines: Machines) -> None:
        self.spec = spec
        self.machines = machines
        for action in ScenarioRunner.beginning(spec):
            machines.do(action)

    def step(self, step: StepSpec, expected: dict[str, Summary]) -> list[str]:
        """Do a step; returns what is not as the scenario says, or not as it is in the simulated world."""
        machines = self.machines
        heard = {name: len(client.listen()) for name, client in machines.clients.items()}
        logged = {name: len(machine.log) for name, machine in machines.hosts.items()}

        def answers(name: str) -> bytes:
            told = b""
            for client in (name, PROMPT + name):
                if client in machines.clients:
                    told += machines.clients[client].listen()[heard.get(client, 0) :]
            return machines.told(told)

        for line in step.do:
            run_line(machines, line, self.spec.clients)  # type: ignore[arg-type]
        time.sleep(step.run)
        end = time.monotonic() + (step.within if step.until else 0) + SLACK_S
        while True:
            try:
                wrong = list(self._wrong(step, expected))
                wrong += unheard(step, answers, lambda name: self._log(name)[logged.get(name, 0) :])
            except (redis.RedisError, OSError) as error:
                wrong = [f"a node does not answer: {error}"]
            if not wrong or time.monotonic() > end:
                return wrong
            time.sleep(LOOK_AGAIN_S)

    def _wrong(self, step: StepSpec, expected: dict[str, Summary]) -> Iterator[str]:
        machines = self.machines
        nodes = machines.look()
        for wanted in (step.until, step.expect):
            if wanted:
                so = Findings(nodes, machines.beliefs(), machines.running(), machines.clusters(), machines.writers())
                yield from unmet(wanted, so, machines.data_of)
        if self.spec.sentinels or any(machine.in_cluster for machine in machines.hosts.values()):
            return  # how often replicas were connected again, and what was written, depends on the moment
        found = summaries(nodes, {name: machines.digest_of(name) for name in nodes})
        for name, summary in expected.items():
            for field, wanted, real in zip(Summary._fields, summary, found[name], strict=True):
                if wanted != real:
                    yield f"{name}: {field} is {real}, and {wanted} in the simulated world"

    def _log(self, name: str) -> str:
        log = self.machines.hosts[name].log
        program = self.machines.program
        for ours, theirs in SYNONYMS.get(program.kind if program else "", {}).items():
            log = log.replace(theirs, ours + " " * (len(theirs) - len(ours)))
        return log


def play(name: str, program: Program | None) -> Outcome:
    """Play a scenario on real servers (None: our own)."""
    spec = read_scenario(find(name))
    if spec.simulated_only:
        return Outcome(name, [], 0, spec.simulated_only)
    began = time.monotonic()
    runner = ScenarioRunner(spec)
    wrong: list[str] = []
    with Machines(program) as machines:
        try:
            real = RealRunner(spec, machines)
            for number, step in enumerate(spec.steps, 1):
                wrong += runner.step()
                wrong += [f"step {number}: {text}" for text in real.step(step, simulated(runner))]
                if wrong:
                    break
        except ActionError as error:
            wrong.append(str(error))
        logs = [
            f"{name} logged: {line}"
            for name, host in machines.hosts.items()
            for line in host.log.splitlines()[-LAST_LINES:]
        ]
    return Outcome(name, wrong + logs if wrong else [], time.monotonic() - began)


def play_all(scenarios: list[str], program: Program | None, jobs: int) -> Iterator[Outcome]:
    """Play scenarios beside each other: nearly all of their time is waiting."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda name: play(name, program), scenarios)


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.real", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", metavar="PATH", help="a redis-server or valkey-server (default: the first found)")
    parser.add_argument("--ours", action="store_true", help="play on our own server, in processes of its own")
    parser.add_argument("--jobs", type=int, default=7, help="scenarios at a time")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    options = parser.parse_args()
    program: Any = None
    if not options.ours:
        program = examine(options.server) if options.server else next(iter(find_servers()), None)
        if program is None:
            parser.error("no real server found" if not options.server else f"{options.server} is no server")
    if not can_host():
        parser.error("every node needs an address of its own in 127.0.0.0/8, and this system has only 127.0.0.1")
    began = time.monotonic()
    failed = 0
    scenarios = options.scenarios or list(names())
    for outcome in play_all(scenarios, program, options.jobs):
        failed += bool(outcome.wrong)
        verdict = outcome.skipped and f"simulated only: {outcome.skipped}"
        print(
            f"{outcome.name:24} {outcome.seconds:5.1f} s  {verdict or ('DIFFERS' if outcome.wrong else 'the same')}"
        )
        for line in outcome.wrong:
            print(f"    {line}", flush=True)
    told = str(program) if program else "our own server"
    print(f"{len(scenarios)} scenarios on {told}, {failed} differ, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
