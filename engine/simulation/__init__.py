"""The simulated world: many nodes in one process, on a clock, a network and disks that only exist here.

    actions      what somebody does to the world: start a host, cut a link, send a command, pull a plug
    world        carries actions and the nodes' effects out, one event after the other
    host         a machine with its process (a `Node`, unchanged), as the node's world
    network      connections: latency, bandwidth, order, cuts
    disk         files with a page cache that a power cut takes away
    happenings   what happened, each with what caused it
    history      the journal of actions: any moment again, branches, files

Same seed and same actions give the same happenings to the byte, on every platform and Python version: nothing here
reads a clock, draws other random numbers than `engine.rng`'s, or follows the order of a set.
"""
