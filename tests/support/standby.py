"""A streaming standby of a test server, made by `pg_basebackup -R`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.postgres import HOST, PASSWORD, USER, PostgresServer
from tests.support.waiting import eventually


class Standby(PostgresServer):
    """A standby that replays a running primary and accepts no writes. Use it in `with`."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(primary.major)
        self.primary = primary

    def catch_up(self) -> None:
        """Wait until the standby has replayed everything that the primary has written so far."""
        # synchronous_commit is off. A transactional message marks a position that the server writes out soon.
        [(written,)] = self.primary.execute("postgres", "select pg_logical_emit_message(true, 'tests', 'so far')")
        sql = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
        eventually(lambda: self.execute("postgres", sql, (written,)) == [(True,)], 30)

    def _initialise(self) -> None:
        command: list[str | Path] = [
            self.bin / "pg_basebackup",
            "--pgdata",
            self.data,
            "--write-recovery-conf",
            "--checkpoint=fast",
        ]
        command += ["--no-sync", "--host", HOST, "--port", str(self.primary.port), "--username", USER]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"pg_basebackup failed:\n{done.stdout}{done.stderr}")
