"""Where the orchestrator keeps the events of runs: its own SQLite files, over connections that stay open.

Belongs here: how those files are opened. Does not belong here: what is an event, and what the files hold (Dagster's).

A night writes some 1,400 events. Dagster opens a connection for each and closes it again, which puts every single one
through to the disk: more than half of a night in which nothing changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine, event

# The index of all runs, the run that is going, and what somebody looks at.
MOST_OPEN = 4


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite, whose files stay open while they are used.

    What is written survives a killed process at once. Loss of power may take the last events of the history, never the
    file. Whoever watches a run asks every now and then, because files that stay open do not tell of each event.
    """

    def __init__(self, base_dir: str, inst_data=None):
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._watcher: SqlPollingEventWatcher | None = None
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data, config_value) -> OpenSqliteEventLogStorage:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > MOST_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def watch(self, run_id, cursor, callback) -> None:
        self._watcher = self._watcher or SqlPollingEventWatcher(self)
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id, handler) -> None:
        if self._watcher:
            self._watcher.unwatch_run(run_id, handler)

    def wipe(self) -> None:
        self._close()  # files are deleted
        super().wipe()

    def dispose(self) -> None:
        if self._watcher:
            self._watcher.close()
        self._close()
        super().dispose()
