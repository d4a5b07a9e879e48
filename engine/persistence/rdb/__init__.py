"""RDB: Redis's snapshot format, as bytes. Nothing in this package opens a file.

    checksum, compression   CRC-64 and LZF
    layouts                 listpack, ziplist, zipmap, intset: small collections in one block of bytes
    primitives              lengths, strings, numbers
    objects                 values of any type to bytes and back; reads all versions of Redis 7.2, writes 11
    dump                    the payload of DUMP and RESTORE
    writer, loader          whole files, piece by piece

Damage of any kind raises `errors.CorruptRdbError`, with the offset if it is known; memory and time for reading are
bounded by the size of the input, whatever lengths it contains.

https://rdb.fnordig.de/file_format.html
"""
