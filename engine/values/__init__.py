"""The data types that keys can hold. Strings are plain `int`, `bytes` and `bytearray` (see `Database`)."""
