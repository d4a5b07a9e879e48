"""What one client of a crashing server did, what it was told, and what the server may therefore hold.

A client has keys of its own and gives its operations in order, so what a server holds of them after a crash must be
what some first part of the operations makes: at least those that were durable by the server's promise, no operation
halved, none twice. An operation is one command, a transaction or a script.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

Command = list[bytes]
State = dict[str, object]

SCRIPT = b"redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('INCR', KEYS[3])"
NAMES = tuple(f"s{i}" for i in range(8))
LIST_MAX = 60


@dataclass
class Operation:
    """What is sent, how many replies it has, and what it does."""

    commands: list[Command]
    effects: list[tuple[str, ...]]


@dataclass
class History:
    """One client's operations since the state that is known for certain."""

    client: int
    rng: random.Random
    base: State = field(default_factory=dict)
    sent: list[Operation] = field(default_factory=list)
    acknowledged: int = 0
    durable: int = 0  # so many must be there after a crash
    number: int = 0

    def key(self, name: str) -> bytes:
        """Return the key of this client that goes by a name."""
        return f"{self.client}:{name}".encode()

    def next(self) -> Operation:
        """Return another operation, noted as sent."""
        self.number += 1
        n = str(self.number)
        chance = self.rng.random()
        key, encoded = self.key, n.encode()
        name = self.rng.choice(NAMES)
        if chance < 0.2:
            operation = Operation([[b"INCR", key("n")]], [("incr", "n")])
        elif chance < 0.4:
            value = encoded + b"x" * self.rng.choice((0, 0, 50, 5000))
            operation = Operation([[b"SET", key(name), value]], [("set", name, value.decode())])
        elif chance < 0.5:
            operation = Operation([[b"DEL", key(name)]], [("del", name)])
        elif chance < 0.65:
            operation = Operation([[b"HSET", key("h"), name.encode(), encoded]], [("hset", "h", name, n)])
        elif chance < 0.75:
            commands = [[b"RPUSH", key("l"), encoded], [b"LTRIM", key("l"), b"-%d" % LIST_MAX, b"-1"]]
            operation = Operation([[b"MULTI"], *commands, [b"EXEC"]], [("push", "l", n), ("trim", "l")])
        elif chance < 0.9:
            commands = [[b"INCR", key("a")], [b"SET", key(name), encoded], [b"INCR", key("b")]]
            effects = [("incr", "a"), ("set", name, n), ("incr", "b")]
            operation = Operation([[b"MULTI"], *commands, [b"EXEC"]], effects)
        else:
            call = [b"EVAL", SCRIPT, b"3", key("c"), key("m"), key("d"), encoded]
            operation = Operation([call], [("incr", "c"), ("push", "m", n), ("incr", "d")])
        self.sent.append(operation)
        return operation

    def possible(self) -> Iterator[tuple[int, State]]:
        """Yield the states that a server may hold, with the number of operations that each has."""
        state = {name: list(value) if isinstance(value, list) else value for name, value in self.base.items()}
        hashes = state.get("h")
        if isinstance(hashes, dict):
            state["h"] = dict(hashes)
        for count in range(len(self.sent) + 1):
            if count:
                for effect in self.sent[count - 1].effects:
                    _apply(state, effect)
            if count >= self.durable:
                yield count, state

    def settle(self, held: State) -> str | None:
        """Take what a server holds for the truth; returns what is wrong with it, if something is."""
        for _, state in self.possible():
            if state == held:
                self.base, self.sent = held, []
                self.acknowledged = self.durable = 0
                return None
        counts = f"{len(self.sent)} sent, {self.acknowledged} acknowledged, {self.durable} durable"
        _, least = next(self.possible())
        wrong = {
            name: (least.get(name), held.get(name)) for name in {**least, **held} if least.get(name) != held.get(name)
        }
        return f"client {self.client}: no first part of its operations ({counts}) gives what is there: {wrong}"


def _apply(state: State, effect: tuple[str, ...]) -> None:
    kind, name, *rest = effect
    if kind == "incr":
        count = state.get(name, 0)
        assert isinstance(count, int)
        state[name] = count + 1
    elif kind == "set":
        state[name] = rest[0]
    elif kind == "del":
        state.pop(name, None)
    elif kind == "hset":
        fields = state.setdefault(name, {})
        assert isinstance(fields, dict)
        fields[rest[0]] = rest[1]
    else:
        items = state.setdefault(name, [])
        assert isinstance(items, list)
        if kind == "push":
            items.append(rest[0])
        else:
            del items[:-LIST_MAX]
