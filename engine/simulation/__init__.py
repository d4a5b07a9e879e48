"""The simulated world: many nodes in one process, with a simulated clock, network and disks.

    actions      changes to the world: start a host, cut a link, send a command, cut the power
    world        executes actions and the nodes' effects, one event after the other
    host         a machine with its process (an unchanged `Node`): the node's world
    network      connections: latency, bandwidth, order, cuts
    disk         files with a page cache that is lost in a power cut
    trace        events, each with its cause
    history      the journal of actions: return to any moment, branches, files

The same seed and the same actions give the same trace, byte for byte, on every platform and Python version: this
package reads no clock, uses only the random numbers of `engine.values.rng`, and never depends on the order of a set.
"""
