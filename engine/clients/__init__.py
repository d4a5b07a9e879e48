"""Connections: the client, ACL users, pub/sub, tracking, blocking, limits, pauses, MONITOR, transactions."""
