"""Databases of keys: lookups, expiry, eviction, scans, sampling, memory accounting, digests."""
