"""A world in which nothing happens by itself, with a small disk in memory."""

from engine import effects as fx


class QuietWorld:
    """What a node may ask its world. Its stopwatch advances by 7 µs at each look; files live in `files`."""

    def __init__(self):
        self.looks = 0
        self.files = {}
        self.logs = []

    def stopwatch(self):
        self.looks += 1
        return self.looks * 7

    def service(self, node):
        pass

    def facts(self):
        return {
            "pid": 1,
            "rss": 1 << 20,
            "cpu_sys": 0.0,
            "cpu_user": 0.0,
            "cpu_sys_children": 0.0,
            "cpu_user_children": 0.0,
            "os": "Test",
            "arch_bits": 64,
            "python": "3",
            "executable": "/redis-tutor",
            "total_memory": 1 << 33,
            "multiplexing": "none",
        }

    def run_now(self, node, effect):
        if isinstance(effect, fx.Read):
            return self.files.get(effect.path, FileNotFoundError(2, "No such file or directory"))
        if isinstance(effect, fx.Write):
            self.files[effect.path] = effect.data
        elif isinstance(effect, fx.Rename):
            self.files[effect.target] = self.files.pop(effect.source)
        elif isinstance(effect, fx.Unlink):
            self.files.pop(effect.path, None)
        elif isinstance(effect, fx.Snapshot):
            self.files[effect.path] = b"".join(node.snapshot_chunks(effect.kind))
        elif isinstance(effect, fx.Append):
            self.files[effect.path] = self.files.get(effect.path, b"") + effect.data
            return len(effect.data)
        elif isinstance(effect, fx.Size):
            return len(self.files[effect.path])
        elif isinstance(effect, fx.Truncate):
            self.files[effect.path] = self.files[effect.path][: effect.size_bytes].ljust(effect.size_bytes, b"\0")
        elif isinstance(effect, fx.ListDir):
            head = "" if effect.path == "." else effect.path + "/"
            return sorted(path[len(head) :] for path in self.files if path.startswith(head))
        return None
