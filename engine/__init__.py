"""A Redis 7.2 compatible server as a value: no I/O outside `engine.live` and `engine.simulation`."""
