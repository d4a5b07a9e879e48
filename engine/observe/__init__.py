"""Observability: statistics, latency, the slow log, typed events."""
