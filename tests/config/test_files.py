"""redis.conf: reading, the command line, rewriting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import (
    Config,
    FatalConfigError,
    MasterAddress,
    OutputLimit,
    SavePoint,
    Surroundings,
    load_config,
    parse,
    parse_command_line,
    rewrite,
)
from engine.live.server import main
from engine.protocol.errors import ReplyError


class Files(Surroundings):
    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.lines: list[str] = []

    def read(self, path):
        if path.endswith("*"):
            return b"\n".join(text for name, text in self.files.items() if name.startswith(path[:-1]))
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def change_dir(self, path):
        if path == "missing":
            raise FileNotFoundError(2, "No such file or directory", path)
        return "/base/" + path

    def check_log(self, path):
        if path == "missing/log":
            raise FileNotFoundError(2, "No such file or directory", path)

    def command_names(self):
        return [b"get", b"set"]

    def log(self, level, text):
        self.lines.append(level + text)


def refusal(text: bytes, **files: bytes) -> bytes:
    with pytest.raises(FatalConfigError) as caught:
        parse(text, Files(**files))
    return caught.value.text


BANNER = b"\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (b"# ok\n\nmaxclients x # comment", 3, b"wrong number of arguments"),
        (b"hz x", 1, b"argument couldn't be parsed into an integer"),
        (b"foo bar", 1, b"Bad directive or wrong number of arguments"),
        (b"port 'x", 1, b"Unbalanced quotes in configuration line"),
        (b'port "1"2', 1, b"Unbalanced quotes in configuration line"),
        (b"save 1 1\r\nsave x 1\r\n", 2, b"Invalid save parameters"),
        (b"dir missing", 1, b"No such file or directory"),
        (b"rename-command nope x", 1, b"No such command in rename-command"),
        (b"rename-command get a\nrename-command GET b", 2, b"No such command in rename-command"),
        (b"rename-command get SET", 1, b"Target command name already exists"),
        (b"sentinel monitor a", 1, b"sentinel directive while not in sentinel mode"),
        (b"a.b", 1, b"Module config specified without value"),
        (b"list-max-ziplist-entries 1 2", 1, b"Bad directive or wrong number of arguments"),
        (b"list-max-ziplist-entries 1\nreplicaof a", 2, b"wrong number of arguments"),
        (b"replicaof a 65536", 1, b"Invalid master port"),
        (
            b"user bob on\nuser bob off",
            2,
            b"Error in user declaration 'bob': Duplicate user found. A user can only be defined once in config files",
        ),
        (b"unixsocketperm 888", 1, b"argument couldn't be parsed as an octal number"),
        (b"unixsocketperm 1777", 1, b"argument must be between 0 and 777 inclusive"),
    ],
)
def test_a_bad_line_is_named(text, line, why):
    bad = text.split(b"\n")[line - 1].strip()
    assert refusal(text) == BANNER + b"Reading the configuration file, at line %d\n>>> '%b'\n%b\n" % (line, bad, why)


def test_a_node_of_a_cluster_has_one_database_and_no_replicaof():
    config = parse(b"port 7000\ncluster-enabled yes\ndatabases 5")
    assert config.cluster_enabled is True and config.databases == 1
    assert parse(b"cluster-enabled no").databases == 16
    assert refusal(b"cluster-enabled yes\nreplicaof 10.0.0.1 6379") == BANNER + (
        b"replicaof directive not allowed in cluster mode\n"
    )


def test_what_is_wrong_without_a_line():
    assert refusal(b"logfile missing/log") == BANNER + b"Can't open the log file: No such file or directory\n"
    assert refusal(b"include nope") == b"Fatal error, can't open config file 'nope': No such file or directory"


def test_reading():
    config = parse(
        b'PORT 7000\nsave 1 2\nsave "3 4"\nsave 5 6 7 8\nrequirepass "a\\"\\x00\\n"\nbind 127.0.0.1 -::1\n'
        b"slaveof host 6380\nclient-output-buffer-limit normal 1mb 1 1\nclient-output-buffer-limit pubsub 1 1 1\n"
        b"shutdown-on-sigint now force\nunixsocketperm 700\ndir here\ninclude conf.d/*\ninclude none*\n"
        b"user bob on nopass\nrename-command get fetch\nhz 1000",
        Files(**{"conf.d/a": b"maxclients 3", "conf.d/b": b"maxclients 4\nloglevel debug"}),
    )
    assert config.port == 7000
    assert config.save == (SavePoint(1, 2), SavePoint(3, 4), SavePoint(5, 6), SavePoint(7, 8))
    assert config.requirepass == b'a"\0\n'
    assert config.bind == ("127.0.0.1", "-::1")
    assert config.replicaof == MasterAddress("host", 6380)
    assert config.client_output_buffer_limit.normal == OutputLimit(1 << 20, 1, 1)
    assert config.client_output_buffer_limit.pubsub == OutputLimit(1, 1, 1)
    assert config.shutdown_on_sigint == ("now", "force")
    assert (config.unixsocketperm, config.dir, config.maxclients, config.loglevel) == (
        0o700,
        "/base/here",
        4,
        "debug",
    )
    assert config.users == [[b"bob", b"on", b"nopass"]]
    assert config.renamed_commands == [(b"get", b"fetch")]
    assert config.hz == 500
    assert parse(b'save 1 2\nsave ""').save == ()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--port", "1", "--hz", "2"], b'port "1" \nhz "2" '),
        (["--port 1", "--hz 2"], b"port 1 \nhz 2 "),
        (["--bind", "a", "b"], b'bind "a" "b" '),
        (["--save", "--port", "1"], b'save ""\nport "1" '),
        (["--port", "1", "--save"], b'port "1" \nsave ""'),
        (["--save", "", "--port", "1"], b'save "" \nport "1" '),
        (["--proc-title-template", "--x", "--port", "1"], b'proc-title-template "--x" \nport "1" '),
        (["--replicaof", "h", "1"], b'replicaof "h" "1" '),
        (["--requirepass", 'a"\n'], b'requirepass "a\\"\\n" '),
        (["--port"], b"port "),
    ],
)
def test_command_lines(arguments, options):
    assert parse_command_line(arguments).options == options


def test_files_standard_input_and_options_in_this_order():
    line = parse_command_line(["r.conf", "--port", "3", "-"])
    assert (line.config_file, line.stdin) == ("r.conf", True)
    config = Config()
    files = Files(**{"r.conf": b"port 1\nhz 1\nmaxclients 1\n"})
    load_config(config, line, files, b"port 2\nhz 2")
    assert (config.port, config.hz, config.maxclients) == (3, 2, 1)
    assert files.lines == ["*Reading config from stdin"]


def test_rewriting_keeps_what_people_wrote():
    config = parse(b"port 1\n")
    config.set([(b"maxmemory", b"100mb"), (b"save", b"1 1")])
    config.dir = "/d"
    old = (
        b"# my server\n\n\n\nport 7\nsave 9 9\n# between\nsave 8 8\nslave-priority 3\nMAXMEMORY 1\nmaxmemory 2\n"
        b"rename-command a b\nnonsense 1\nuser old on\n"
    )
    assert rewrite(old, config, [b"user default on", b"user new on"]) == (
        b"# my server\n\nport 1\nsave 1 1\n# between\n\nreplica-priority 100\nmaxmemory 100mb\n\n"
        b"rename-command a b\n# ??? nonsense 1\nuser default on\n\n# Generated by CONFIG REWRITE\n"
        b'dir "/d"\nlatency-tracking-info-percentiles 50 99 99.9\nuser new on\n'
    )


def test_rewriting_twice_changes_nothing():
    config = parse(b"port 1\nbind 127.0.0.1\n")
    once = rewrite(b"port 1\n", config)
    twice = rewrite(once, config)
    assert rewrite(twice, config) == twice
    assert twice.strip() == once.strip()


VALUES = st.sampled_from(
    [b"yes", b"no", b"1", b"7", b"100mb", b"5%", b"", b"1 2 3 4", b"now", b"KEA", b'q"\\ \n\xff', b"x"]
)


@given(st.lists(st.tuples(st.sampled_from(sorted(Config.NAMES)), VALUES), max_size=30), st.booleans())
def test_a_rewritten_file_reads_back(pairs, force):
    config = Config()
    config.dir = "/somewhere"
    for pair in pairs:
        if pair[0] == "bind" and b'"' in pair[1]:
            continue  # addresses are written without quotes, as Redis does
        try:
            config.set([pair], allow_protected=True)
        except ReplyError:
            continue
    if config.hz == 0:
        config.hz = 1
    assert vars(parse(rewrite(b"", config, force=force))) == vars(config)


@given(st.binary(max_size=60) | st.from_regex(rb"([a-z-]{1,12} [a-z0-9\"' ]{0,8}\n){0,5}", fullmatch=True))
def test_any_text_is_read_or_refused(text):
    try:
        config = parse(text)
    except FatalConfigError:
        return
    rewrite(text, config)


@pytest.mark.parametrize("arguments", [["--test-memory"], ["--test-memory", "1"], ["--check-system"]])
def test_what_is_no_server_is_refused(arguments, capsys):
    assert main(arguments) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sentinel_needs_a_file_that_it_can_write(capfd, tmp_path):
    assert main(["--sentinel"]) == 1
    assert "Sentinel needs config file on disk to save state. Exiting..." in capfd.readouterr().out
    assert main([str(tmp_path / "missing.conf"), "--sentinel"]) == 1
    assert "Fatal error, can't open config file" in capfd.readouterr().out


def test_the_version_line(capsys):
    assert main(["-v", "--port", "x"]) == 0
    assert capsys.readouterr().out.startswith("Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64 build=")
