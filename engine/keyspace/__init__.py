"""Databases of keys.

    databases  lookups, changes, times to live, scans, random keys; the observer of changes
    slots      the hash slot of a key, and the keys of each slot
    digest     DEBUG DIGEST

Eviction is in `engine.execution`, because it runs before commands.
"""
