"""A node that tests drive directly: commands in, reply bytes, keyspace events and the stream of changes out."""

from engine.clients.client import PROPAGATE_ALL
from engine.config import Config
from engine.effects import Send
from engine.node import Node
from engine.protocol.resp import encode_command

START_US = 1_700_000_000_000_000


class StillWorld:
    """A world in which nothing happens by itself."""

    def stopwatch(self):
        return 0

    def service(self, node):
        pass

    def run_now(self, node, effect):
        return None

    def facts(self):
        return {"pid": 1, "rss": 0}


class Recorder:
    """A sink that keeps what a node propagates."""

    target = PROPAGATE_ALL
    reads_changes = True

    def __init__(self):
        self.lines = []

    def feed(self, db, argv):
        self.lines.append(b" ".join(argv))


class Drive:
    """One node with as many clients as are named; link 1 is the usual one."""

    def __init__(self, **settings):
        config = Config()
        for name, value in settings.items():
            setattr(config, name, value)
        config.notify_keyspace_events = 0
        self.now = START_US
        self.node = Node(config, 1, self.now)
        self.recorder = Recorder()
        self.node.propagation.sinks = (self.recorder,)
        self.node.propagation.active = True
        self.node.attach(StillWorld())
        self.inbox = {}
        self.events_link = 99
        self(b"CONFIG SET notify-keyspace-events KEA")
        self(b"PSUBSCRIBE __keyevent*", link=self.events_link)
        self.events()
        self.changes()

    def __call__(self, line, link=1):
        """Give a client's command (a line, or a list of arguments); return the reply's bytes."""
        if link not in self.inbox:
            self.inbox[link] = b""
            self.node.opened(link, f"127.0.0.1:{link}", "tcp", self.now)
        argv = line.split() if isinstance(line, bytes) else line
        self.node.received(link, encode_command(argv), self.now)
        self.settle()
        return self.take(link)

    def settle(self):
        for effect in self.node.end_round(self.now):
            if isinstance(effect, Send):
                self.inbox[effect.link] += effect.data

    def take(self, link):
        """Return what a client has been sent since it was last asked."""
        data, self.inbox[link] = self.inbox[link], b""
        return data

    def wait(self, ms):
        """Let time pass."""
        self.now += ms * 1000
        self.node.wake(self.now)
        self.settle()

    def events(self):
        """Return the keyspace events since the last time, as `event key`."""
        parts = self.take(self.events_link).split(b"\r\n")
        found = []
        for i, part in enumerate(parts):
            if part.startswith(b"__keyevent@0__:"):
                found.append(part.removeprefix(b"__keyevent@0__:") + b" " + parts[i + 2])
        return found

    def changes(self):
        """Return the commands propagated since the last time."""
        lines, self.recorder.lines = self.recorder.lines, []
        return lines

    def check(self):
        """Check every value, and the accounting of memory."""
        for db in self.node.space.databases:
            db.check()
            for _, value in db.items():
                if hasattr(value, "check"):
                    value.check()
                    assert len(value) > 0
