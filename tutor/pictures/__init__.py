"""Pictures of the data: what a key or a part of the server looks like, and what the last command changed in it.

    readings     a key as it is at one moment, read without a trace and bounded however large the key is
    keys         the picture of a key: `draw_key(before, after, width, cause)`
    strings …    one module for each type
    sets         also what SINTER, SUNION and SDIFF take of several sets
    persistence  memory, AOF buffer, the system's cache and the disk
    memory, subscriptions, transactions, scripts, replication, clients, slots
    subjects     which of all these is drawn after a command
    canvas       lines of (text, style) that fit a width

A picture is drawn from two readings, the one before a command and the one after it. It consists of lines no wider
than asked for, of 40 columns or more, and of one sentence for those who read lines and not screens. Nothing here
knows a screen, a clock, or a connection.
"""
