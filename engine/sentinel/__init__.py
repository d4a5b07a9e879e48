"""Sentinel: watches masters, and has a replica take the place of one that is down.

    settings        what holds for the whole Sentinel: its ID, epoch, names, credentials, periods
    addresses       addresses, names, and how a Sentinel tells them apart
    instances       what is watched: masters, their replicas, their other Sentinels; the link to each
    watched         all masters; how instances are added, reset and moved
    notices         events: to the log, to subscribers, to scripts
    scripts         the queue of notification scripts, and those that run
    directives      the configuration file: reading and rewriting
    links           the two connections to an instance, and what is sent on them when
    information     what an instance's INFO says, and what follows
    hello           the messages by which Sentinels find each other and spread a new configuration
    detection       subjectively and objectively down
    votes           votes, and who leads a failover
    failover        the failover, state by state; the choice of the replica
    monitor         the timer that drives everything, TILT; the parts put together
    commands        SENTINEL and what a Sentinel answers to other commands
    process         a Sentinel as a node

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""
