"""Clients, and what a server keeps for them.

client           the state of a connection, and what handlers may do with it
execution        the running command
propagation      its changes, for the append-only file and replicas
conditions       the state that makes commands need checks
replies          sending the output of a round
limits           output buffers, idle time, memory: limits for each client and for all
connections      closing connections
ending           the output of a server that shuts down
acl              users and their permissions
blocking         clients that wait for keys, for replicas, for time
transactions     MULTI and WATCH
pubsub           channels, patterns and their subscribers
tracking         client-side caching
monitor          MONITOR
pauses           CLIENT PAUSE
keyspace_events  what follows from a changed key: for WATCH, tracking, blocked clients, notifications
replica_link     the state of a client that is a replica
describe         a client in the format of CLIENT LIST
memory           the memory that the server reports
"""
