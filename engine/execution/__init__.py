"""Command execution: the checks in Redis's order, the call, and serving other clients during a long command."""
