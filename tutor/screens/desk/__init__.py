"""Desks: what stands behind a lesson's screen. Servers, terminals and the course on one side, messages on the other.

link        one terminal's connection, in a thread of its own
keyview     what the inspector shows of the keys, read without a trace
wireview    bytes on the wire, explained frame by frame
playground  a server with terminals and an inspector: the sandbox, and what every lesson stands on
lesson      the course on top of it
"""
