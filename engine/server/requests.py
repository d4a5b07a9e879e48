"""The link of a client: parses bytes to requests and runs them.

Well-formed pipelines are parsed in C, in batches. Requests that arrive in pieces, and the input of unauthenticated
clients, use the strict parser of `engine.protocol.resp`.
"""

from engine.clients import client as flags
from engine.clients.client import QUERY_READ_BYTES, QUERY_ROOM_BYTES, usable_bytes
from engine.clients.describe import describe
from engine.observe.events import ClientOpened
from engine.protocol.errors import ReplyError
from engine.protocol.resp import BIG_ARGUMENT_BYTES, READ_AT_ONCE, ProtocolError, Request, RequestLimits, big_argument
from engine.server.context import Context


class ClientLink(Context):
    """A connected client. Handles its link (see `engine.links.LinkHandler`)."""

    __slots__ = ()

    def opened(self, peer: str, local: str) -> None:
        """The connection was accepted."""
        node = self.node
        self.local = local
        if self.kind == "unix":
            self.flags |= flags.UNIX_SOCKET
            node.output.log("-", f"Accepted connection to {node.config.unixsocket}")
        else:
            node.output.log("-", f"Accepted {peer}")
        node.clients[self.id] = self
        node.stats.connections_received += 1
        node.acl.welcome(self)
        self.update_checks()
        if node.events.observers:
            node.events.emit(ClientOpened(node.clock.monotonic_us, self.id, peer))

    def received(self, data: bytes) -> None:
        """Run the complete requests in the input, unless the client must wait."""
        node = self.node
        node.execution.clock_us = began_us = node.clock.stopwatch()
        self.last_us = node.clock.monotonic_us
        size = len(data)
        stats = node.stats
        stats.net_input_bytes += size
        stats.reads_processed += 1
        if not stats.round_began_us:
            stats.round_began_us = began_us
        if self.query_room < QUERY_READ_BYTES:
            self.query_room = QUERY_ROOM_BYTES
        request = self.request
        if request is None:
            # The strict parser limits the requests of unauthenticated clients.
            batch, used = self.shared.parser.parse(data) if self.authenticated else ([], 0)
            if used > BIG_ARGUMENT_BYTES and (big := big_argument(batch)):
                self.make_query_room(big)
            if used != size:
                self.request = request = Request()
                request.buffer += data[used:]
            if self.halted or self.requests:
                self.requests.extend(batch)
                return
            stats.round_requests += len(batch)
            if not batch and self.flags & flags.REPLICA and not data.strip(b"\r\n"):
                node.master.heard(self)
            requests = iter(batch)
            node.dispatch.process(self, requests)
            if self.halted:
                self.requests.extend(requests)
            elif request is not None:
                self._parse()
                self._count_unread()
        else:
            request.buffer += data
            if not self.halted and not self.requests:
                self._parse()
            self._count_unread()

    def resume(self) -> None:
        """Run the requests that were received while the client had to wait."""
        node = self.node
        while self.requests and not self.halted:
            node.execution.clock_us = node.clock.stopwatch()
            node.dispatch.process(self, iter((self.requests.popleft(),)))
        if self.request is not None and not self.requests:
            self._parse()

    def output_pending(self, size_bytes: int) -> None:
        """Record the amount of output that is not sent yet."""
        node = self.node
        self.outbox.output_pending_bytes += size_bytes - self.out_bytes
        self.out_bytes = size_bytes
        if self.flags & flags.REPLICA:
            node.master.output_pending(self)

    def closed(self) -> None:
        """The client disconnected."""
        output = self.node.output
        if output.is_logged("-"):
            output.log("-", f"Client closed connection {describe(self).decode('utf-8', 'surrogateescape')}")
        self.node.connections.free(self)

    def refused(self, error: str) -> None:
        """Never called: clients connect to us."""

    def _count_unread(self) -> None:
        """Update the memory of incomplete requests."""
        size = self.request.memory if self.request is not None and self.link else 0
        self.outbox.unread_bytes += size - self.unread_bytes
        self.unread_bytes = size

    def _parse(self) -> None:
        """Run the requests in the buffer: first what hiredis could not parse, then the rest."""
        node = self.node
        limits = RequestLimits(node.config.proto_max_bulk_len, self.authenticated)
        quick = True
        while self.request is not None and not self.halted:
            request = self.request
            if quick and request.begins and self.authenticated:
                batch, used = self.shared.parser.parse(bytes(memoryview(request.buffer)[:READ_AT_ONCE]))
                if quick := used > 0:
                    request.consume(used)
                    if used > BIG_ARGUMENT_BYTES and (big := big_argument(batch)):
                        self.make_query_room(big)
                    node.stats.round_requests += len(batch)
                    requests = iter(batch)
                    node.dispatch.process(self, requests)
                    self.requests.extend(requests)  # a request before the last one made the client wait
                    continue
            try:
                argv = request.next(limits)
            except ProtocolError as error:
                self._protocol_error(error)
                return
            if request.big:
                self.make_query_room(request.big)
                request.big = 0
            if argv is None:
                if not request.buffer and not request.missing:
                    self.request = None
                elif request.bulk_length >= BIG_ARGUMENT_BYTES:
                    self.query_room = max(self.query_room, usable_bytes(request.bulk_length + 2))
                if len(request.buffer) > node.config.client_query_buffer_limit:
                    self._query_too_long()
                return
            if argv:
                node.dispatch.process(self, iter((argv,)))
                limits.authenticated = self.authenticated
            else:
                self.end_reply_skip()

    def _protocol_error(self, error: ProtocolError) -> None:
        text = b"ERR Protocol error: %b" % error.args[0]
        self.request = None
        self.node.stats.count_error(ReplyError(text))
        self.reply(ReplyError(text))
        self.close_after_reply()

    def _query_too_long(self) -> None:
        node = self.node
        node.stats.query_limit_disconnections += 1
        node.output.log("#", "Closing client that reached max query buffer length")
        node.connections.close_now(self)
