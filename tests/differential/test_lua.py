"""Errors of scripts read as those of Redis 7.2.4: see `tests/differential/lua.py`."""

import json

from tests.differential.lua import RECORDED, Ours, scripts


def test_replies_are_as_recorded():
    recorded = dict(json.loads(line) for line in RECORDED.read_text().splitlines())
    ours = Ours()
    assert {script: ours.run(script) for script in recorded} == recorded
    assert recorded.keys() <= set(scripts())
