"""The server of a lesson: `parent` is the tutor's side of it, `child` the process that runs the engine.

`world` is the process of a lesson with machines. `forkserver` starts `processes` quickly, and `messages` go between
them and the tutor.
"""
