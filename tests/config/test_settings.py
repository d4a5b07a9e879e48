"""The table of directives: values, limits, CONFIG GET and SET."""

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.config import HIDDEN, Config, Directive, OutputLimit, SavePoint, memory_size
from engine.config.kinds import loose_integer, strict_integer
from engine.protocol.errors import LOADING, ReplyError
from engine.protocol.glob import glob_match


def setting(name: bytes, value: bytes, **rules: bool) -> str:
    """Return what CONFIG SET answers about one directive, and on which values it would act."""
    try:
        Config().set([(name, value)], **rules)
    except ReplyError as error:
        text = error.text.decode()
        return text.split(") - ", 1)[-1]
    return "OK"


def test_attributes_are_plain_and_typed():
    config = Config()
    assert config.maxmemory_policy == "noeviction"
    assert config.appendonly is False
    assert config.proto_max_bulk_len == 512 << 20
    assert config.save == (SavePoint(3600, 1), SavePoint(300, 100), SavePoint(60, 10000))
    assert config.bind == ("*", "-::*")
    assert config.requirepass == b""
    assert not any(isinstance(value, Directive) for value in vars(Config).values())


def test_names_are_redis_s_and_unique():
    assert len(Config.NAMES) == 202
    assert len([name for name, found in Config.NAMES.items() if not found.flags & HIDDEN]) == 195
    assert all(re.fullmatch("[a-z_-]+", name) for name in Config.DIRECTIVES)


def test_a_configuration_is_plain_data():
    config = Config()
    config.set([(b"save", b"1 2"), (b"bind", b"::1"), (b"client-output-buffer-limit", b"pubsub 1 2 3")])
    assert vars(pickle.loads(pickle.dumps(config))) == vars(config)


def test_every_attribute_that_the_engine_reads_exists():
    known = set(vars(Config())) | set(dir(Config))
    for path in Path(engine.__file__).parent.rglob("*.py"):
        for name in re.findall(r"\bconfig\.([a-z_0-9]+)", path.read_text()):
            if not re.search(
                rf"\b(?:import|from) engine\.config\.{name}\b|engine\.config\.{name}\b", path.read_text()
            ):
                assert name in known, f"{path.name}: config.{name}"


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        (b"maxclients", b"0", "argument must be between 1 and 4294967295 inclusive"),
        (b"maxclients", b"-1", "argument must be between 1 and 4294967295 inclusive"),
        (b"port", b"65536", "argument must be between 0 and 65535 inclusive"),
        (b"hz", b"01", "argument couldn't be parsed into an integer"),
        (b"hz", b"+1", "argument couldn't be parsed into an integer"),
        (b"hz", b"1", "OK"),
        (b"maxmemory", b"1t", "argument must be a memory value"),
        (b"maxmemory", b"mb", "OK"),
        (b"maxmemory", b"-1", "argument must be a memory value"),
        (b"maxmemory-clients", b"101%", "percentage argument must be less or equal to 100"),
        (b"maxmemory-clients", b"-1%", "argument must be a memory or percent value"),
        (b"appendonly", b"1", "argument must be 'yes' or 'no'"),
        (b"appendonly", b"YES", "OK"),
        (b"appendfsync", b"never", "argument(s) must be one of the following: everysec, always, no"),
        (b"shutdown-on-sigint", b"", "argument(s) must be one of the following: default, save, nosave, now, force"),
        (b"shutdown-on-sigint", b"save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        (b"save", b"1", "Invalid save parameters"),
        (b"save", b"900 ", "OK"),
        (b"save", b"0 1", "Invalid save parameters"),
        (b"notify-keyspace-events", b"KQ", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        (b"client-output-buffer-limit", b"normal 1", "Wrong number of arguments in buffer limit configuration."),
        (
            b"client-output-buffer-limit",
            b"master 1 1 1",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            b"oom-score-adj-values",
            b"0 0 2001",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        (b"daemonize", b"yes", "can't set immutable config"),
        (b"dbfilename", b"x", "can't set protected config"),
        (b"cluster-announce-hostname", b"a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
        (b"cluster-announce-hostname", b"a" * 256, "Hostnames must be less than 256 characters"),
        (b"proc-title-template", b"{title}", "template format is invalid or contains unknown variables"),
        (b"proc-title-template", b"{{{port}", "OK"),
        (b"nope", b"1", "ERR Unknown option or number of arguments for CONFIG SET"),
    ],
)
def test_answers_of_config_set(name, value, answer):
    assert setting(name, value).startswith(answer)


def test_protected_directives_and_loading():
    assert setting(b"dbfilename", b"x", allow_protected=True) == "OK"
    assert setting(b"dbfilename", b"a/b", allow_protected=True) == "dbfilename can't be a path, just a filename"
    assert setting(b"appendonly", b"yes", loading=True) == LOADING.decode()
    assert setting(b"hz", b"50", loading=True) == "OK"


def test_all_or_nothing():
    config = Config()
    before = dict(vars(config))
    with pytest.raises(ReplyError, match="argument 'Maxmemory-Clients'".lower()):
        config.set([(b"MAXMEMORY", b"1mb"), (b"save", b""), (b"Maxmemory-Clients", b"200%")])
    assert vars(config) == before
    with pytest.raises(ReplyError, match="'MAXMEMORY'\\) - duplicate parameter"):
        config.set([(b"maxmemory", b"1mb"), (b"MAXMEMORY", b"2mb")])
    change = config.set([(b"replica-priority", b"1"), (b"slave-priority", b"2"), (b"hz", b"10")])
    assert (config.replica_priority, change.names) == (2, ["replica-priority", "replica-priority"])
    config.undo(change)
    assert vars(config) == before


def test_get():
    config = Config()
    assert config.get([b"MaxMemory", b"maxmemory"], glob_match) == {b"MaxMemory": b"0"}
    assert config.get([b"*-PRIORITY"], glob_match) == {b"replica-priority": b"100", b"slave-priority": b"100"}
    assert config.get([b"key-load-delay", b"key-load*"], glob_match) == {b"key-load-delay": b"0"}
    assert config.get([b"nope"], glob_match) == {}
    assert len(config.get([b"*"], glob_match)) == 195


def test_values_are_shown_as_redis_shows_them():
    config = Config()
    config.set(
        [
            (b"maxmemory-clients", b"5%"),
            (b"maxmemory", b"18446744073709551615"),
            (b"shutdown-on-sigterm", b"force NOW now"),
            (b"oom-score-adj", b"relative"),
            (b"notify-keyspace-events", b"KAn"),
            (b"client-output-buffer-limit", b"replica 1kb 2k 3"),
            (b"latency-tracking-info-percentiles", b"50.50 1e1 -0"),
        ]
    )
    assert config.maxmemory_clients == -5
    assert config.client_output_buffer_limit.replica == OutputLimit(1024, 2000, 3)
    assert list(config.get([b"maxmemory*s", b"maxmemory"], glob_match).values()) == [
        b"5%",
        b"5",
        b"18446744073709551615",
    ]
    assert config.show(config.DIRECTIVES["shutdown-on-sigterm"]) == b"now force"
    assert config.show(config.DIRECTIVES["oom-score-adj"]) == b"yes"
    assert config.show(config.DIRECTIVES["notify-keyspace-events"]) == b"AK"
    assert config.show(config.DIRECTIVES["latency-tracking-info-percentiles"]) == b"50.5 10 -0"
    assert config.show(config.DIRECTIVES["client-output-buffer-limit"]).startswith(b"normal 0 0 0 slave 1024 2000 3 ")


@given(st.integers(0, 2**63 - 1), st.sampled_from([("", 1), ("b", 1), ("K", 1000), ("kb", 1024), ("gB", 1 << 30)]))
def test_memory_sizes_wrap_as_in_c(number, unit):
    assert memory_size(b"%d%b" % (number, unit[0].encode())) == number * unit[1] % 2**64


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(number):
    assert strict_integer(b"%d" % number) == loose_integer(b" %d" % number) == number
    assert strict_integer(b"0%d" % number) is None


@given(
    st.sampled_from(sorted(Config.NAMES)),
    st.binary(max_size=12) | st.from_regex(rb"[a-z0-9% .-]{0,12}", fullmatch=True),
)
def test_any_value_is_taken_or_refused(name, value):
    config = Config()
    before = dict(vars(config))
    try:
        change = config.set([(name, value)], allow_protected=True)
    except ReplyError as refused:
        error = refused
    else:
        error = None
    if error is not None:
        assert error.text.startswith(b"ERR CONFIG SET failed (possibly related to argument '%b') - " % name)
        assert vars(config) == before
        return
    shown = config.show(config.NAMES[name])
    if b"\0" not in shown and name != b"notify-keyspace-events":
        again = Config()
        again.set([(name, shown)], allow_protected=True)
        assert again.show(config.NAMES[name]) == shown
    config.undo(change)
    assert vars(config) == before
