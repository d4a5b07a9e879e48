"""A server, assembled from its components: each receives the components that it uses.

The layers above use the whole server: `engine.node` passes inputs to it, `engine.commands` contains its commands. All
state is plain data, so a server can be copied between any two inputs; a copy does not contain the world's objects.
"""

from functools import partial
from typing import Protocol

from engine.clients.acl import Acl
from engine.clients.blocking import Waiting
from engine.clients.client import Client, Outbox, Shared
from engine.clients.conditions import Conditions
from engine.clients.connections import Connections
from engine.clients.ending import Ending
from engine.clients.execution import Execution
from engine.clients.keyspace_events import KeyspaceEvents
from engine.clients.limits import ClientLimits
from engine.clients.memory import MemoryUse
from engine.clients.monitor import Monitors
from engine.clients.pauses import Pauses
from engine.clients.propagation import Propagation
from engine.clients.pubsub import PubSub
from engine.clients.replies import ReplySender
from engine.clients.tracking import Tracking
from engine.clients.transactions import Transactions
from engine.cluster import Cluster
from engine.config import Config
from engine.core import Core, ProcessFacts, ServerProcess
from engine.effects import Output
from engine.execution.busy import Suspension
from engine.execution.checks import Checks
from engine.execution.dispatch import Dispatch
from engine.execution.eviction import Eviction
from engine.keyspace.databases import Keyspace
from engine.keyspace.slots import SlottedDatabase
from engine.links import Dialer, LinkHandler
from engine.observe.events import Events
from engine.observe.latency import LatencyMonitor
from engine.observe.slowlog import SlowLog
from engine.observe.stats import Stats
from engine.persistence.aof.log import AppendOnlyFile
from engine.persistence.snapshots import Persistence
from engine.protocol.resp import BatchParser
from engine.replication import Replication
from engine.replication.failover import CoordinatedFailover
from engine.replication.master import MasterRole
from engine.replication.replica import ReplicaRole
from engine.replication.roles import Roles
from engine.replication.stream import MasterStream
from engine.replication.transfer import Transfer
from engine.scripting.runtime import Scripting
from engine.server.context import Context, MasterContext
from engine.server.cron import Cron
from engine.server.shutdown import Shutdown
from engine.table.declarations import Command, CommandTable
from engine.timers import Clock, Timers
from engine.values.rng import Rng, Secret


class FactsSource(Protocol):
    """The process that hosts a server."""

    def facts(self) -> ProcessFacts:
        """Return facts of the process: pid, rss, cpu times, uname …"""


class Server:
    """The components of a server."""

    program = "Redis"  # as the log calls it
    keeps_data = True
    world: FactsSource

    def __init__(self, config: Config, seed: int, now: int, clock_offset_us: int, table: CommandTable) -> None:
        rng = Rng(seed)
        self.process = ServerProcess(run_id=rng.hex(40), started_us=now)
        self.table = table
        self.links: dict[int, LinkHandler] = {}
        self.core = core = new_core(config, rng, now, clock_offset_us, self.links)
        # The parts of the core that inputs and most commands use; `core` has the others.
        self.config = core.config
        self.clock = core.clock
        self.timers = core.timers
        self.output = core.output
        self.space = core.space
        self.stats = core.stats
        self.events = core.events

        self._make_clients(Secret(seed))
        self.replication = Replication(
            core,
            propagation=self.propagation,
            waiting=self.waiting,
            connections=self.connections,
            ending=self.ending,
        )
        self._make_execution()
        self._make_storage()
        self.scripting = Scripting(
            core,
            acl=self.acl,
            propagation=self.propagation,
            conditions=self.conditions,
            eviction=self.eviction,
            dispatch=self.dispatch,
            waiting=self.waiting,
            monitors=self.monitors,
            suspension=self.suspension,
            ending=self.ending,
            persistence=self.persistence,
            new_client=self.new_client,
        )
        self._make_roles()
        self.cluster = self._make_cluster() if config.cluster_enabled else None
        self.shutdown = Shutdown(
            core,
            propagation=self.propagation,
            conditions=self.conditions,
            waiting=self.waiting,
            pauses=self.pauses,
            ending=self.ending,
            persistence=self.persistence,
            aof=self.aof,
            scripting=self.scripting,
            replication=self.replication,
            program=self.program,
        )
        self.cron = Cron(
            core,
            propagation=self.propagation,
            eviction=self.eviction,
            limits=self.limits,
            ending=self.ending,
            persistence=self.persistence,
            aof=self.aof,
            master=self.master,
            replica=self.replica,
            shutdown=self.shutdown,
        )
        self._connect()
        self.configured()

    def _make_clients(self, secret: Secret) -> None:
        """Create the components that manage clients."""
        core, config = self.core, self.config
        outbox = Outbox()
        self.clients: dict[int, Client] = {}
        self.execution = Execution()
        self.propagation = Propagation(self.execution)
        self.conditions = Conditions(core)
        self.waiting = Waiting(core, clients=self.clients)
        self.shared = Shared(
            core,
            execution=self.execution,
            propagation=self.propagation,
            waiting=self.waiting,
            outbox=outbox,
            parser=BatchParser(),
        )
        self.ending = Ending(self.clients, self.links, self.waiting)
        self.connections = Connections(
            core,
            clients=self.clients,
            links=self.links,
            outbox=outbox,
            waiting=self.waiting,
        )
        self.acl = self.shared.acl = Acl(
            core,
            secret,
            table=self.table,
            execution=self.execution,
            connections=self.connections,
        )
        self.limits = ClientLimits(core, clients=self.clients, outbox=outbox, connections=self.connections)
        self.replies = ReplySender(core, outbox=outbox, limits=self.limits, connections=self.connections)
        self.memory = MemoryUse(core, clients=self.clients, outbox=outbox)
        self.monitors = Monitors(config, self.clock, self.execution, self.conditions)
        self.pubsub = PubSub(self.clients)
        self.tracking = Tracking(config, self.clients, self.execution, self.conditions)
        self.transactions = Transactions(self.clients, self.space, self.conditions)
        self.pauses = Pauses(core, waiting=self.waiting, conditions=self.conditions)
        self.keyspace_events = self.space.observer = KeyspaceEvents(
            core,
            conditions=self.conditions,
            propagation=self.propagation,
            waiting=self.waiting,
            transactions=self.transactions,
            tracking=self.tracking,
            pubsub=self.pubsub,
        )

    def _make_execution(self) -> None:
        """Create the components that execute commands."""
        core = self.core
        self.eviction = Eviction(core, propagation=self.propagation, conditions=self.conditions, memory=self.memory)
        checks = Checks(
            config=core.config,
            conditions=self.conditions,
            execution=self.execution,
            acl=self.acl,
            limits=self.limits,
            pauses=self.pauses,
            eviction=self.eviction,
        )
        self.dispatch = Dispatch(
            core,
            commands=renamed(self.table, self.config),
            propagation=self.propagation,
            offsets=self.replication,
            conditions=self.conditions,
            checks=checks,
            waiting=self.waiting,
            acl=self.acl,
            limits=self.limits,
            monitors=self.monitors,
            tracking=self.tracking,
            transactions=self.transactions,
        )
        self.suspension = Suspension(core, propagation=self.propagation, conditions=self.conditions)

    def _make_storage(self) -> None:
        """Create the components that store data on disk."""
        core = self.core
        self.persistence = Persistence(
            core,
            memory=self.memory,
            conditions=self.conditions,
            suspension=self.suspension,
            ending=self.ending,
        )
        self.aof = AppendOnlyFile(
            core,
            commands=self.dispatch.commands,
            propagation=self.propagation,
            offsets=self.replication,
            conditions=self.conditions,
            waiting=self.waiting,
            connections=self.connections,
            suspension=self.suspension,
            ending=self.ending,
            persistence=self.persistence,
            facts=self.facts,
            new_client=self.new_client,
        )

    def _make_roles(self) -> None:
        """Create the components of replication."""
        core = self.core
        self.master = MasterRole(
            core,
            propagation=self.propagation,
            limits=self.limits,
            connections=self.connections,
            persistence=self.persistence,
            replication=self.replication,
        )
        new_transfer = partial(
            Transfer,
            core,
            self.keyspace_events,
            self.suspension,
            self.persistence,
            self.scripting,
            self.replication,
            self.facts,
        )
        new_stream = partial(
            MasterStream,
            core,
            self.shared.parser,
            self.conditions,
            self.pauses,
            self.dispatch,
            self.replication,
        )
        self.replica: ReplicaRole = ReplicaRole(
            core,
            connections=self.connections,
            ending=self.ending,
            aof=self.aof,
            replication=self.replication,
            master=self.master,
            new_master=self.new_master,
            new_transfer=new_transfer,
            new_stream=new_stream,
        )
        self.roles = Roles(
            core,
            conditions=self.conditions,
            waiting=self.waiting,
            pauses=self.pauses,
            aof=self.aof,
            replication=self.replication,
            master=self.master,
            replica=self.replica,
        )
        self.failover = CoordinatedFailover(
            core,
            pauses=self.pauses,
            replication=self.replication,
            master=self.master,
            roles=self.roles,
        )

    def _make_cluster(self) -> Cluster:
        """Make the node's part in a cluster."""
        cluster = Cluster(
            self.core,
            propagation=self.propagation,
            keyspace_events=self.keyspace_events,
            waiting=self.waiting,
            pubsub=self.pubsub,
            pauses=self.pauses,
            ending=self.ending,
            replication=self.replication,
            replica=self.replica,
            roles=self.roles,
        )
        self.conditions.cluster_enabled = True
        self.dispatch.checks.routes = cluster.routing
        self.scripting.slots = cluster.routing
        return cluster

    def _connect(self) -> None:
        """Pass components to others that were created before them."""
        self.replication.master, self.replication.replica = self.master, self.replica
        self.master.failover = self.replica.failover = self.failover
        self.replica.update_role = self.roles.update
        self.propagation.sinks = (self.aof, self.master)
        self.shared.divergence = self.aof.divergence = self.replication
        self.shared.replica_links = self.master
        self.waiting.acknowledgements = self.replication
        self.connections.master_link = self.replica
        self.connections.forgetting = (
            self.transactions.unwatch,
            self.master.detach,
            self.pubsub.forget,
            self.tracking.disable,
            self.monitors.remove,
            self.limits.forget,
        )
        self.memory.aof = self.aof
        self.memory.replication = self.replication
        checks = self.dispatch.checks
        checks.scripts = self.scripting
        checks.disk = self.persistence
        checks.replicas = self.scripting.replicas = self.replication
        self.dispatch.refusals = self.replication
        self.dispatch.out_of_memory = self.shutdown.out_of_memory
        self.persistence.aof = self.aof
        self.persistence.functions = self.scripting
        self.persistence.history = self.replication
        self.persistence.replicas = self.master

    @property
    def mode(self) -> str:
        """The server's mode, as shown by INFO and HELLO."""
        return "cluster" if self.conditions.cluster_enabled else "standalone"

    def facts(self) -> ProcessFacts:
        """Return facts of the process that hosts the server."""
        return self.world.facts()

    def new_client(self) -> Client:
        """Create a client without a connection, for commands that the server itself runs."""
        return Context(self)

    def new_master(self, client_id: int, link: int, peer: str) -> Client:
        """Create the client that represents the master."""
        return MasterContext(self, client_id, link, peer)

    def configured(self) -> None:
        """Update components that depend on the configuration."""
        config = self.config
        self.dispatch.configured()
        self.limits.configured()
        self.space.set_policy(config.maxmemory_policy, config.lfu_log_factor, config.lfu_decay_time)
        self.space.set_notifications(config.notify_keyspace_events)
        if self.cluster is not None:
            self.cluster.configured()
        self.roles.update()


def new_core(config: Config, rng: Rng, now: int, clock_offset_us: int, links: dict[int, LinkHandler]) -> Core:
    """Create the core of a server that has these links."""
    clock = Clock(now, clock_offset_us)
    output = Output(config)
    database = SlottedDatabase if config.cluster_enabled else None
    space = Keyspace(config.databases, Rng(rng.next64()), database)
    space.now_ms = clock.now_ms
    space.update_lru_clock(now)
    return Core(
        config=config,
        clock=clock,
        timers=Timers(),
        rng=rng,
        output=output,
        dialer=Dialer(output, links),
        space=space,
        stats=Stats(),
        latency=LatencyMonitor(),
        slowlog=SlowLog(),
        events=Events(),
    )


def renamed(table: CommandTable, config: Config) -> dict[bytes, Command]:
    """Return a table's commands by name, renamed according to the configuration."""
    commands: dict[bytes, Command] = {}
    for name, command in table.items():
        commands[name] = command
        commands[name.upper()] = command  # the usual spelling of clients, found without a call to lower()
    for old, new in config.renamed_commands:
        command = commands.pop(old)
        del commands[old.upper()]
        if new:
            commands[new] = commands[new.upper()] = command
    return commands
