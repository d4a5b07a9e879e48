"""Command execution.

dispatch  from a request to its reply: lookup, checks, the handler, statistics, propagation
checks    the reasons for not running a command now, in Redis's order
eviction  which keys are deleted when memory reaches maxmemory
busy      serving other clients during a slow script or a load
"""
