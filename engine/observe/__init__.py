"""Observability.

stats    counters of commands, errors and bytes, and rates
latency  operations that took too long, by kind
slowlog  commands that took too long
events   what happens to a node, as typed events for observers
"""
