"""AOF: the append-only file, as bytes. Nothing in this package opens a file.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""
