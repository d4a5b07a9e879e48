"""redis-cli's `--cluster`: create, check, fix and reshard clusters, by giving commands to their nodes.

    options       the command line's `--cluster …` words
    surroundings  connections, output, input and time: of a process, or of a lesson's shell
    nodes         the nodes that are talked to, and what each says about itself
    checking      whether they agree, which slots are open or not covered
    moving        slots from one node to another, with their keys
    fixing        open slots, uncovered slots, slots with several owners
    creating      create, add-node, del-node
    resharding    reshard, rebalance
    subcommands   info, check, fix, set-timeout, import, call, backup, help, and the table of all of them

What is printed, and the exit status, are redis-cli 7.2's.

https://redis.io/docs/latest/operate/oss_and_stack/management/scaling/
"""
