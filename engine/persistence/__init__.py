"""Snapshots and the append-only file.

snapshots  what a node saves, and when
rdb        the format of snapshots, as bytes
aof        the append-only file: `log` writes it, `loading` reads it, `rewrite` and `manifest` shorten it
"""
