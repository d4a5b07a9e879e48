"""The title of the process, which ps shows instead of the command line: `redis-tutor *:6379`.

`proc-title-template` determines it; `{title}` is the name with which the program was started, or the task of a child.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

import os
import sys

from setproctitle import setproctitle

from engine.config import Config
from engine.config.checks import expand_title

NAME = "redis-tutor"


def set_title(config: Config, title: str = "", mode: str = "") -> None:
    """Set the title of the process."""
    text = expand_title(config.proc_title_template, title or _program(), config, config.config_file, mode)
    if text:
        setproctitle(text)


def _program() -> str:
    path = sys.argv[0]
    return NAME if os.path.basename(path) == "__main__.py" else path
