"""Redis's own test suite, run against our server. `tests/upstream.md` says what is expected of it."""
