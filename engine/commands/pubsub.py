"""Publish and subscribe.

https://redis.io/docs/latest/commands/?group=pubsub
"""

from engine import client as flags
from engine.client import Client
from engine.errors import ReplyError
from engine.glob import glob_match
from engine.help import help_reply
from engine.resp import NO_REPLY, Argv, Reply
from engine.table import FAST, LOADING, MAY_REPLICATE, NOSCRIPT, PUBSUB, STALE, command, container


def _check_may_listen(ctx: Client, name: bytes) -> None:
    # A client that cannot be told later (a script's) would wait for ever. In MULTI the rest of the transaction runs
    # on, so there it is allowed for compatibility.
    if ctx.flags & flags.DENY_BLOCKING and not ctx.flags & flags.MULTI:
        raise ReplyError(b"ERR %b isn't allowed for a DENY BLOCKING client" % name)


@command(
    "SUBSCRIBE channel [channel ...]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    channels="1..-1",
    since="2.0.0",
    complexity="O(N) where N is the number of channels to subscribe to.",
)
def subscribe(ctx: Client, argv: Argv) -> Reply:
    _check_may_listen(ctx, b"SUBSCRIBE")
    for channel in argv[1:]:
        ctx.node.pubsub.subscribe(ctx, channel)
    return NO_REPLY


@command(
    "UNSUBSCRIBE [channel [channel ...]]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    since="2.0.0",
    complexity="O(N) where N is the number of channels to unsubscribe.",
)
def unsubscribe(ctx: Client, argv: Argv) -> Reply:
    ctx.node.pubsub.unsubscribe(ctx, argv[1:] or None)
    return NO_REPLY


@command(
    "PSUBSCRIBE pattern [pattern ...]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    channels="1..-1 pattern",
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to subscribe to.",
)
def psubscribe(ctx: Client, argv: Argv) -> Reply:
    _check_may_listen(ctx, b"PSUBSCRIBE")
    for pattern in argv[1:]:
        ctx.node.pubsub.psubscribe(ctx, pattern)
    return NO_REPLY


@command(
    "PUNSUBSCRIBE [pattern [pattern ...]]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to unsubscribe.",
)
def punsubscribe(ctx: Client, argv: Argv) -> Reply:
    ctx.node.pubsub.punsubscribe(ctx, argv[1:] or None)
    return NO_REPLY


@command(
    "SSUBSCRIBE shardchannel [shardchannel ...]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    keys=("1..-1 not_key",),
    channels="1..-1",
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to subscribe to.",
)
def ssubscribe(ctx: Client, argv: Argv) -> Reply:
    if ctx.flags & flags.DENY_BLOCKING:
        raise ReplyError(b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
    for channel in argv[1:]:
        ctx.node.pubsub.ssubscribe(ctx, channel)
    return NO_REPLY


@command(
    "SUNSUBSCRIBE [shardchannel [shardchannel ...]]",
    PUBSUB,
    NOSCRIPT,
    LOADING,
    STALE,
    keys=("1..-1 not_key",),
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to unsubscribe.",
)
def sunsubscribe(ctx: Client, argv: Argv) -> Reply:
    ctx.node.pubsub.sunsubscribe(ctx, argv[1:] or None)
    return NO_REPLY


@command(
    "PUBLISH channel message",
    PUBSUB,
    LOADING,
    STALE,
    FAST,
    MAY_REPLICATE,
    channels="1",
    since="2.0.0",
    complexity="O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
)
def publish(ctx: Client, argv: Argv) -> Reply:
    receivers = ctx.node.pubsub.publish(argv[1], argv[2])
    ctx.force_propagate(to_aof=False)
    return receivers


@command(
    "SPUBLISH shardchannel message",
    PUBSUB,
    LOADING,
    STALE,
    FAST,
    MAY_REPLICATE,
    keys=("1 not_key",),
    channels="1",
    since="7.0.0",
    complexity="O(N) where N is the number of clients subscribed to the receiving shard channel.",
)
def spublish(ctx: Client, argv: Argv) -> Reply:
    receivers = ctx.node.pubsub.publish_shard(argv[1], argv[2])
    ctx.force_propagate(to_aof=False)
    return receivers


container("PUBSUB", since="2.8.0", group="pubsub")


def _pattern(argv: Argv) -> bytes | None:
    if len(argv) > 3:
        raise ReplyError(
            b"ERR unknown subcommand or wrong number of arguments for '%b'. Try PUBSUB HELP." % argv[1][:128]
        )
    return argv[2] if len(argv) == 3 else None


@command(
    "PUBSUB CHANNELS [pattern]",
    PUBSUB,
    LOADING,
    STALE,
    since="2.8.0",
    complexity="O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
)
def pubsub_channels(ctx: Client, argv: Argv) -> Reply:
    pattern = _pattern(argv)
    return [name for name in ctx.node.pubsub.channels if pattern is None or glob_match(pattern, name)]


@command(
    "PUBSUB SHARDCHANNELS [pattern]",
    PUBSUB,
    LOADING,
    STALE,
    since="7.0.0",
    complexity="O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
)
def pubsub_shardchannels(ctx: Client, argv: Argv) -> Reply:
    pattern = _pattern(argv)
    return [name for name in ctx.node.pubsub.shard_channels if pattern is None or glob_match(pattern, name)]


@command(
    "PUBSUB NUMSUB [channel [channel ...]]",
    PUBSUB,
    LOADING,
    STALE,
    since="2.8.0",
    complexity="O(N) for the NUMSUB subcommand, where N is the number of requested channels",
)
def pubsub_numsub(ctx: Client, argv: Argv) -> Reply:
    reply: list[Reply] = []
    for channel in argv[2:]:
        reply += [channel, len(ctx.node.pubsub.channels.get(channel, ()))]
    return reply


@command(
    "PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]",
    PUBSUB,
    LOADING,
    STALE,
    since="7.0.0",
    complexity="O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
)
def pubsub_shardnumsub(ctx: Client, argv: Argv) -> Reply:
    reply: list[Reply] = []
    for channel in argv[2:]:
        reply += [channel, len(ctx.node.pubsub.shard_channels.get(channel, ()))]
    return reply


@command("PUBSUB NUMPAT", PUBSUB, LOADING, STALE, since="2.8.0", complexity="O(1)")
def pubsub_numpat(ctx: Client, argv: Argv) -> Reply:
    return len(ctx.node.pubsub.patterns)


@command("PUBSUB HELP", LOADING, STALE, since="6.2.0", complexity="O(1)")
def pubsub_help(ctx: Client, argv: Argv) -> Reply:
    return help_reply(argv, PUBSUB_HELP)


PUBSUB_HELP = """\
CHANNELS [<pattern>]
    Return the currently active channels matching a <pattern> (default: '*').
NUMPAT
    Return number of subscriptions to patterns.
NUMSUB [<channel> ...]
    Return the number of subscribers for the specified channels, excluding
    pattern subscriptions(default: no channels).
SHARDCHANNELS [<pattern>]
    Return the currently active shard level channels matching a <pattern> (default: '*').
SHARDNUMSUB [<shardchannel> ...]
    Return the number of subscribers for the specified shard level channel(s)
"""
