"""The configuration of a server: directives, redis.conf, CONFIG.

    kinds       types of values: how they are parsed, displayed and rewritten
    directives  the table: every directive, declared once as an attribute of `Config`
    settings    getting and setting by name, all or nothing
    reading     redis.conf and the command line of redis-server
    rewriting   CONFIG REWRITE

A `Config` is plain data. It never acts: its users carry out what follows from a change.
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
    fatal_line,
    load_config,
    parse,
    parse_command_line,
    sane_hz,
)
from engine.config.rewriting import rewrite
from engine.config.settings import ConfigChange, failed
from engine.config.special import MasterAddress, OutputLimit, OutputLimits, SavePoint

__all__ = [
    "DEBUG",
    "DENY_LOADING",
    "HIDDEN",
    "IMMUTABLE",
    "MULTI_ARG",
    "PROTECTED",
    "SENSITIVE",
    "BadValueError",
    "CommandLine",
    "Config",
    "ConfigChange",
    "Directive",
    "FatalConfigError",
    "MasterAddress",
    "OutputLimit",
    "OutputLimits",
    "SavePoint",
    "Surroundings",
    "failed",
    "fatal_line",
    "format_memory",
    "load_config",
    "memory_size",
    "parse",
    "parse_command_line",
    "rewrite",
    "sane_hz",
]
