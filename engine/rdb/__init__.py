"""RDB: Redis's format for snapshots, over bytes. Nothing here opens a file.

    checksum, compression   CRC-64 and LZF
    layouts                 listpack, ziplist, zipmap, intset: small collections in one block of bytes
    primitives              lengths, strings, numbers
    objects                 a value of any type to bytes and back; every version that Redis 7.2 reads, 11 written
    dump                    what DUMP gives and RESTORE takes
    writer, loader          whole files, piece by piece
    explain                 every byte of a file, with its meaning

Damage of any kind raises `errors.CorruptRdbError`, with the offset where that is known; reading costs no more memory
or time than what is really there allows, whatever lengths the bytes claim.

https://rdb.fnordig.de/file_format.html
"""
