"""AOF: the append-only file, over bytes. Nothing here opens a file.

    explain   every byte of an append-only file or of its manifest, with its meaning

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""
