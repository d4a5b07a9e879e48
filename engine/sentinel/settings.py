"""What holds for a whole Sentinel, whichever masters it watches."""

PORT = 26379
ID_DIGITS = 40
HELLO_CHANNEL = b"__sentinel__:hello"

CRASH_AFTER_ELECTION = 1 << 0  # failures to simulate
CRASH_AFTER_PROMOTION = 1 << 1


class SimulatedCrashError(Exception):
    """SENTINEL SIMULATE-FAILURE: the process has ended here, whatever would have followed."""


class Periods:
    """Times in ms that SENTINEL DEBUG shows and changes, in its order."""

    def __init__(self) -> None:
        self.info_period = 10_000
        self.ping_period = 1_000
        self.ask_period = 1_000
        self.publish_period = 2_000
        self.default_down_after = 30_000
        self.default_failover_timeout = 180_000
        self.tilt_trigger = 2_000
        self.tilt_period = 30_000
        self.slave_reconf_timeout = 10_000
        self.min_link_reconnect_period = 15_000
        self.election_timeout = 10_000
        self.script_max_runtime = 60_000
        self.script_retry_delay = 30_000

    @staticmethod
    def attribute(name: bytes) -> str | None:
        """Return the attribute that a name of SENTINEL DEBUG means; None if there is none."""
        return _PERIODS.get(name.lower())


_PERIODS = {name.replace("_", "-").encode(): name for name in vars(Periods())}


class SentinelSettings:
    """The global configuration, and the state that is kept with it."""

    def __init__(self) -> None:
        self.my_id = ""
        self.current_epoch = 0
        self.announce_ip = ""
        self.announce_port = 0
        self.deny_scripts_reconfig = True
        self.user = ""  # as which it logs in to other Sentinels; empty: the default user
        self.password = ""
        self.resolve_hostnames = False
        self.announce_hostnames = False
        self.simulated_failures = 0
        self.tilt = False
        self.periods = Periods()
