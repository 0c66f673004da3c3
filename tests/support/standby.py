"""A streaming standby of a server of the tests, as `pg_basebackup -R` makes one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.postgres import HOST, PASSWORD, USER, PostgresServer
from tests.support.waiting import eventually


class Standby(PostgresServer):
    """Use it in `with`, while the other server runs: it replays that one, and takes no writes."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(primary.major)
        self.primary = primary

    def catch_up(self) -> None:
        """Wait until it has replayed all that the other server has written so far."""
        # A transaction's word of its own, which the server writes out soon: its commits are not flushed at once.
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
