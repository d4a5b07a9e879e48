"""The live world: real sockets, files, clock and processes for one node. The only impure code of the engine."""
