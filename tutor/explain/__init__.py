"""RDB and append-only files, byte by byte: what each byte means, and the files written out line by line."""
