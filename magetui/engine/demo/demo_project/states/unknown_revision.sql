-- A colleague's branch ran here and was never merged: its only trace is the current revision.
update alembic_version set version_num = '3fe8d1b64a05';
