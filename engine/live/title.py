"""The title of the process, which ps shows in place of the command line: `redis-tutor *:6379`.

`proc-title-template` makes it; `{title}` is the name that the program was started by, or what a child is about.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

import os
import sys

from setproctitle import setproctitle

from engine.config import Config
from engine.config.checks import expand_title

NAME = "redis-tutor"


def set_title(config: Config, title: str = "") -> None:
    """Give the process its title."""
    text = expand_title(config.proc_title_template, title or _program(), config, config.config_file)
    if text:
        setproctitle(text)


def _program() -> str:
    path = sys.argv[0]
    return NAME if os.path.basename(path) == "__main__.py" else path
