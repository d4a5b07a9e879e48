"""Reports on a whole server.

info         INFO
replication  INFO replication, and ROLE
doctor       MEMORY DOCTOR and LATENCY DOCTOR
"""
