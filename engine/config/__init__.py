"""The configuration of a server: directives, redis.conf, CONFIG.

    kinds       what kinds of values there are: how they are read, shown, rewritten
    directives  the table: every directive once, as an attribute of `Config`
    settings    getting and setting by name, all or nothing
    reading     redis.conf and the command line of redis-server
    rewriting   CONFIG REWRITE

A `Config` is plain data. It never acts: what must happen when a directive changes is up to whoever changes it.
"""

from engine.config.directives import Config
from engine.config.kinds import (
    DEBUG,
    DENY_LOADING,
    HIDDEN,
    IMMUTABLE,
    MULTI_ARG,
    PROTECTED,
    SENSITIVE,
    BadValueError,
    Directive,
    format_memory,
    memory_size,
)
from engine.config.reading import (
    CommandLine,
    FatalConfigError,
    Surroundings,
    load_config,
    parse,
    parse_command_line,
    sane_hz,
)
from engine.config.rewriting import rewrite
from engine.config.settings import Change, failed
from engine.config.special import Master, OutputLimit, OutputLimits, SavePoint

__all__ = [
    "DEBUG",
    "DENY_LOADING",
    "HIDDEN",
    "IMMUTABLE",
    "MULTI_ARG",
    "PROTECTED",
    "SENSITIVE",
    "BadValueError",
    "Change",
    "CommandLine",
    "Config",
    "Directive",
    "FatalConfigError",
    "Master",
    "OutputLimit",
    "OutputLimits",
    "SavePoint",
    "Surroundings",
    "failed",
    "format_memory",
    "load_config",
    "memory_size",
    "parse",
    "parse_command_line",
    "rewrite",
    "sane_hz",
]
