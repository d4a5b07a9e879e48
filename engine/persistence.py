"""What a node keeps of its data on disk, and when.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.node import Node


class Persistence:
    """State of saving and loading."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.dirty_at_save = 0
        self.last_save_s = node.now_us // 1_000_000
        self.aof_buffer_bytes = 0

    @property
    def changes_since_save(self) -> int:
        """Changes that no snapshot has."""
        return self.node.space.dirty - self.dirty_at_save

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence."""
        return [
            ("loading", int(self.node.loading)),
            ("async_loading", int(self.node.async_loading)),
            ("current_cow_peak", 0),
            ("current_cow_size", 0),
            ("current_cow_size_age", 0),
            ("current_fork_perc", "0.00"),
            ("current_save_keys_processed", 0),
            ("current_save_keys_total", 0),
            ("rdb_changes_since_last_save", self.changes_since_save),
            ("rdb_bgsave_in_progress", 0),
            ("rdb_last_save_time", self.last_save_s),
            ("rdb_last_bgsave_status", "ok"),
            ("rdb_last_bgsave_time_sec", -1),
            ("rdb_current_bgsave_time_sec", -1),
            ("rdb_saves", 0),
            ("rdb_last_cow_size", 0),
            ("rdb_last_load_keys_expired", 0),
            ("rdb_last_load_keys_loaded", 0),
            ("aof_enabled", int(self.node.config.appendonly)),
            ("aof_rewrite_in_progress", 0),
            ("aof_rewrite_scheduled", 0),
            ("aof_last_rewrite_time_sec", -1),
            ("aof_current_rewrite_time_sec", -1),
            ("aof_last_bgrewrite_status", "ok"),
            ("aof_rewrites", 0),
            ("aof_rewrites_consecutive_failures", 0),
            ("aof_last_write_status", "ok"),
            ("aof_last_cow_size", 0),
            ("module_fork_in_progress", 0),
            ("module_fork_last_cow_size", 0),
        ]
