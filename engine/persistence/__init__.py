"""Snapshots and the append-only file: writing, loading and scheduling."""
