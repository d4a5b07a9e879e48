"""Replication with real servers on the other end."""
