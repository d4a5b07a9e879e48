"""What a scenario is, as plain data with a schema (msgspec's). `lessons/README.md` describes it for teachers."""

import msgspec

Scalar = str | int

# Actions that no real machine takes from a test: with its power, its page cache would have to go.
NOT_REAL = ("plug", "remove", "run", "configure")


class _ScenarioPart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class NodeSpec(_ScenarioPart):
    """A node: where it is, the lines of its redis.conf, and whether it runs from the start."""

    address: str
    config: tuple[str, ...] = ()
    started: bool = True


class SentinelSpec(_ScenarioPart):
    """A Sentinel: where it is, the lines of its sentinel.conf after those that all have, and whether it runs."""

    address: str
    config: tuple[str, ...] = ()
    started: bool = True


class ApplicationSpec(_ScenarioPart):
    """An application that writes at a steady rate: it asks Sentinels for a master, or writes to a fixed node."""

    asks: tuple[str, ...] = ()  # Sentinels
    master: str = "mymaster"
    writes_to: str = ""  # a node, if it does not ask
    cluster: tuple[str, ...] = ()  # some nodes of the cluster that it writes to, instead of either
    keys: tuple[str, ...] = ()  # to which it writes there, in turn; by default twelve of its name
    follows: str = "map"  # what it does about redirections there: map, slot, never, nothing
    period_ms: int = 200


class LinkSpec(_ScenarioPart):
    """A link that is not as the others are (0.5 ms, no limit of bandwidth)."""

    between: tuple[str, str]
    latency_ms: int
    bytes_per_s: int = 0


class Expect(_ScenarioPart):
    """What is so of a node. What is not said is not looked at."""

    state: str | None = None  # up, down, paused
    role: str | None = None  # master, replica
    link: str | None = None  # of a replica to its master: up, down
    sync_full: int | None = None
    sync_partial_ok: int | None = None
    sync_partial_err: int | None = None
    replicas: int | None = None
    offset: int | None = None
    offset_above: int | None = None
    same_offset: str | None = None  # a node
    same_data: str | None = None
    same_id: str | None = None
    other_id: str | None = None
    second_id: bool | None = None  # whether it remembers a former history
    keys: dict[str, Scalar | None] = {}  # strings of the first database; null: it is not there
    size: int | None = None  # keys in all
    follows: str | None = None  # the node that a replica follows
    # Of a Sentinel: what it believes about the master `of`, by default the first one that it watches.
    of: str = ""
    master: str | None = None  # the node that it takes for the master
    s_down: bool | None = None
    o_down: bool | None = None
    failover: str | None = None  # the state of a failover that it leads: none, wait_start, …
    epoch: int | None = None  # of its configuration of the master
    epoch_above: int | None = None
    voted_for: str | None = None  # a Sentinel; "" if it does not know any more
    vote_epoch: int | None = None  # of its last vote
    sentinels: int | None = None  # others that it knows
    known_replicas: int | None = None
    tilt: bool | None = None
    # Of a node of a cluster: what it believes. `epoch` is that of its configuration.
    cluster: str | None = None  # ok, fail
    slots: str | None = None  # that it serves, as ranges: 0-5460 5462
    known: int | None = None  # nodes, itself included
    current_epoch_above: int | None = None
    sees: dict[str, str] = {}  # node: ok, pfail, fail, handshake, noaddr, unknown
    owners: dict[str, str] = {}  # slot or range of slots: the node that serves it; "" for none
    migrating: dict[str, str] = {}  # slot: the node that it moves to
    importing: dict[str, str] = {}
    slot_keys: dict[str, int] = {}  # slot: how many keys it has
    # Of an application that writes to a cluster; `owners` is its slot map:
    moved_above: int | None = None  # MOVED redirections
    asked_above: int | None = None  # ASK redirections
    refreshed_above: int | None = None  # how often it has asked for the slots
    lost: int | bool | None = None  # acknowledged writes that no master has that serves their slot
    # Of any application:
    target: str | None = None  # the node that it writes to; none while it has none
    acknowledged_above: int | None = None
    failed_above: int | None = None
    error: str | None = None  # what its last error contains; "" for none
    missing: dict[str, int | bool] = {}  # node: acknowledged writes that it does not have, or whether there are any


class StepSpec(_ScenarioPart):
    """Something that is told, done, waited for, and then so."""

    say: str
    do: tuple[str, ...] = ()
    run: float = 0  # seconds
    until: dict[str, Expect] = {}
    within: float = 60  # seconds, for `until`
    expect: dict[str, Expect] = {}
    replied: dict[str, str] = {}  # client: what is in what it was answered during the step
    logged: dict[str, str] = {}  # node: what is in its log since the step began


class ScenarioSpec(_ScenarioPart):
    """A scenario file."""

    id: str
    title: str
    summary: str
    nodes: dict[str, NodeSpec]
    steps: tuple[StepSpec, ...]
    node_config: tuple[str, ...] = ()  # of all nodes, before their own lines
    sentinels: dict[str, SentinelSpec] = {}
    sentinel_config: tuple[str, ...] = ()  # of all Sentinels
    applications: dict[str, ApplicationSpec] = {}
    clients: dict[str, str] = {}  # and whom they talk to
    links: tuple[LinkSpec, ...] = ()
    seed: int = 1
    simulated_only: str = ""  # why real servers cannot play it; `NOT_REAL` are the actions that they cannot do
