"""The declarations of commands: names, arity, flags, keys, argument parsing, reference."""
