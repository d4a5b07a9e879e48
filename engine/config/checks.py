"""Constraints on a directive's value beyond its type. Each check returns the reason for refusing a value, or None."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config.settings import Settings

HOST_MAX = 256


def _is_base_name(text: str) -> bool:
    return "/" not in text and "\\" not in text


def db_filename(value: str, settings: "Settings") -> str | None:
    """Refuse a path."""
    return None if _is_base_name(value) else "dbfilename can't be a path, just a filename"


def aof_filename(value: str, settings: "Settings") -> str | None:
    """Refuse a path and an empty name."""
    if not value:
        return "appendfilename can't be empty"
    return None if _is_base_name(value) else "appendfilename can't be a path, just a filename"


def aof_dirname(value: str, settings: "Settings") -> str | None:
    """Refuse a path and an empty name."""
    if not value:
        return "appenddirname can't be empty"
    return None if _is_base_name(value) else "appenddirname can't be a path, just a dirname"


def shutdown_options(value: tuple[str, ...], settings: "Settings") -> str | None:
    """Refuse contradictory options."""
    if "save" in value and "nosave" in value:
        return "shutdown options SAVE and NOSAVE can't be used simultaneously"
    return None


def node_name(value: str, settings: "Settings") -> str | None:
    """Refuse characters that could not be stored in the cluster's configuration file."""
    if any(char in "\0!#$%&()*+:;<>?@[]^{|}~" for char in value):
        return "Announced human node name contained invalid character"
    return None


def host_name(value: str, settings: "Settings") -> str | None:
    """Refuse a value that cannot be a host name."""
    if len(value.encode("utf-8", "surrogateescape")) >= HOST_MAX:
        return f"Hostnames must be less than {HOST_MAX} characters"
    if not re.fullmatch(r"[A-Za-z0-9.-]*", value):
        return "Hostnames may only contain alphanumeric characters, hyphens or dots"
    return None


def title_template(value: str, settings: "Settings") -> str | None:
    """Refuse a template that contains unknown variables, is cut off, or expands to nothing."""
    title = expand_title(value, "", settings)
    return None if title else "template format is invalid or contains unknown variables"


def active_defrag(value: bool, settings: "Settings") -> str | None:
    """Refuse: there is no allocator here that could report fragmentation."""
    if value:
        return (
            "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc "
            "like the one shipped by default with the Redis source distribution"
        )
    return None


def expand_title(
    template: str, title: str, settings: "Settings", config_file: str = "", mode: str = ""
) -> str | None:
    """Expand a proc-title-template; None if it is malformed. `{{` produces a literal brace."""
    port, tls_port = settings.value("port"), settings.value("tls-port")
    bind = settings.value("bind")
    if port or tls_port:
        address = f"{bind[0] if bind else '*'}:{port or tls_port}"
    else:
        address = f"unixsocket:{settings.value('unixsocket') or '(null)'}"
    variables = {
        "title": title,
        "listen-addr": address,
        "server-mode": f"[{mode}]" if mode else "[cluster]" if settings.value("cluster-enabled") else "",
        "config-file": config_file or "-",
        "port": str(port),
        "tls-port": str(tls_port),
        "unixsocket": settings.value("unixsocket"),
    }
    out = []
    rest = template
    while rest:
        text, brace, rest = rest.partition("{")
        out.append(text)
        if not brace:
            break
        if rest[:1] == "{":
            out.append("{")
            rest = rest[1:]
            continue
        name, end, rest = rest.partition("}")
        if not end or name not in variables:
            return None
        out.append(variables[name])
    return "".join(out).strip(" ")
