"""Publish and subscribe.

https://redis.io/docs/latest/commands/?group=pubsub
"""

from typing import Final

from engine.clients import client as flags
from engine.protocol.errors import ReplyError, subcommand_syntax
from engine.protocol.glob import glob_match
from engine.protocol.resp import NO_REPLY, Argv, Reply
from engine.server.context import Context
from engine.table.declarations import FAST, LOADING, MAY_REPLICATE, NOSCRIPT, PUBSUB, STALE, command, container
from engine.table.help import help_reply


def _check_may_listen(ctx: Context, name: bytes) -> None:
    # A pseudo client (of a script) cannot receive messages. In MULTI subscribing is allowed for compatibility,
    # because the rest of the transaction continues to run.
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
def subscribe(ctx: Context, argv: Argv) -> Reply:
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
def unsubscribe(ctx: Context, argv: Argv) -> Reply:
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
def psubscribe(ctx: Context, argv: Argv) -> Reply:
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
def punsubscribe(ctx: Context, argv: Argv) -> Reply:
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
def ssubscribe(ctx: Context, argv: Argv) -> Reply:
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
def sunsubscribe(ctx: Context, argv: Argv) -> Reply:
    ctx.node.pubsub.sunsubscribe(ctx, argv[1:] or None)
    return NO_REPLY


def _pass_on(ctx: Context, argv: Argv, shard: bool) -> None:
    """Send a published message to replicas, or over the bus of a cluster."""
    cluster = ctx.node.cluster
    if cluster is None:
        ctx.force_propagate(to_aof=False)
    else:
        cluster.publish(argv[1], argv[2], shard)


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
def publish(ctx: Context, argv: Argv) -> Reply:
    receivers = ctx.node.pubsub.publish(argv[1], argv[2])
    _pass_on(ctx, argv, shard=False)
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
def spublish(ctx: Context, argv: Argv) -> Reply:
    receivers = ctx.node.pubsub.publish_shard(argv[1], argv[2])
    _pass_on(ctx, argv, shard=True)
    return receivers


container("PUBSUB", since="2.8.0", group="pubsub")


def _pattern(argv: Argv) -> bytes | None:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    return argv[2] if len(argv) == 3 else None


@command(
    "PUBSUB CHANNELS [pattern]",
    PUBSUB,
    LOADING,
    STALE,
    since="2.8.0",
    complexity="O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
)
def pubsub_channels(ctx: Context, argv: Argv) -> Reply:
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
def pubsub_shardchannels(ctx: Context, argv: Argv) -> Reply:
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
def pubsub_numsub(ctx: Context, argv: Argv) -> Reply:
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
def pubsub_shardnumsub(ctx: Context, argv: Argv) -> Reply:
    reply: list[Reply] = []
    for channel in argv[2:]:
        reply += [channel, len(ctx.node.pubsub.shard_channels.get(channel, ()))]
    return reply


@command("PUBSUB NUMPAT", PUBSUB, LOADING, STALE, since="2.8.0", complexity="O(1)")
def pubsub_numpat(ctx: Context, argv: Argv) -> Reply:
    return len(ctx.node.pubsub.patterns)


@command("PUBSUB HELP", LOADING, STALE, since="6.2.0", complexity="O(1)")
def pubsub_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, PUBSUB_HELP)


PUBSUB_HELP: Final = """\
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
