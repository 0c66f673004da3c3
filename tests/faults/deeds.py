"""What hostile scripts do, a deed each: the lines of `upgrade()`, and the words in which it is reported.

`OUTSIDE` is a folder of the test, `PORT` a socket that listens there, `URL` the live database, `VICTIM` a process.
"""

from __future__ import annotations

from dataclasses import dataclass

LIBPQ = "connection = psycopg2.extensions.connection(URL)\nconnection.cursor().execute('create table taken (id int)')"


@dataclass(frozen=True)
class Deed:
    """`told` is what is said of it, or None if only the kernel can see it."""

    name: str
    lines: str
    told: str | None


DEEDS = (
    Deed("remove", "import os\nos.remove(OUTSIDE + '/kept')", "would remove"),
    Deed("remove by pathlib", "import pathlib\npathlib.Path(OUTSIDE, 'kept').unlink()", "would remove"),
    Deed("remove a folder", "import shutil\nshutil.rmtree(OUTSIDE)", "would remove the folder"),
    Deed("rename", "import os\nos.rename(OUTSIDE + '/kept', OUTSIDE + '/gone')", "would rename"),
    Deed("write", "open(OUTSIDE + '/made', 'w').write('x')", "would write"),
    Deed("write by os", "import os\nos.open(OUTSIDE + '/made', os.O_CREAT | os.O_WRONLY)", "would write"),
    Deed("add", "open(OUTSIDE + '/kept', 'a').write('x')", "would write"),
    Deed("cut", "import os\nos.truncate(OUTSIDE + '/kept', 0)", "would cut"),
    Deed("make a folder", "import os\nos.makedirs(OUTSIDE + '/made/deep')", "would create the folder"),
    Deed("link", "import os\nos.symlink('/', OUTSIDE + '/made')", "would link"),
    Deed("change modes", "import os\nos.chmod(OUTSIDE + '/kept', 0o777)", "would change the mode"),
    Deed("change times", "import os\nos.utime(OUTSIDE + '/kept', (0, 0))", "would change the times"),
    Deed("write a temporary file", "import tempfile\ntempfile.NamedTemporaryFile(dir=OUTSIDE)", "would write"),
    Deed("start a process", "import subprocess\nsubprocess.run(['touch', OUTSIDE + '/made'])", "would start a process"),
    Deed("run a shell", "import os\nos.system('touch ' + OUTSIDE + '/made')", "would start a process"),
    Deed("spawn", "import os\nos.posix_spawn('/bin/touch', ['touch', OUTSIDE + '/made'], {})", "would start a process"),
    Deed(
        "fork",
        "import os\nif os.fork() == 0:\n    open(OUTSIDE + '/made', 'w')\n    os._exit(0)",
        "would start a process",
    ),
    Deed("become another program", "import os\nos.execv('/bin/touch', ['touch', OUTSIDE + '/made'])", "would start"),
    Deed("signal", "import os\nos.kill(VICTIM, 9)", "would send a signal to the process"),
    Deed("connect a socket", "import socket\nsocket.create_connection(('127.0.0.1', PORT))", "would"),
    Deed("fetch a page", "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{PORT}/')", "would"),
    Deed("send a packet", "import socket\nsocket.socket(type=2).sendto(b'x', ('127.0.0.1', PORT))", None),
    Deed("psycopg2", "import psycopg2\npsycopg2.connect(URL)", "would connect to a database by psycopg2"),
    Deed("psycopg2 by name", "import importlib\nimportlib.import_module('psycopg2').connect(URL)", "by psycopg2"),
    Deed("psycopg2 inside", "from psycopg2._psycopg import _connect\n_connect(URL)", "by psycopg2"),
    Deed("psycopg2 by its class", f"import psycopg2\nimport psycopg2.extensions\n{LIBPQ}", None),
    Deed("an engine", "sa.create_engine(URL).connect()", "would"),
    Deed("pyodbc", "import pyodbc\npyodbc.connect(f'Driver=ODBC;Server=127.0.0.1,{PORT}')", "by pyodbc"),
    Deed("pymssql", "import pymssql\npymssql.connect(server='127.0.0.1', port=PORT)", "by pymssql"),
    Deed("mssql-python", "import mssql_python\nmssql_python.connect(f'Server=127.0.0.1,{PORT}')", "by mssql_python"),
    Deed("sqlite3", "import sqlite3\nsqlite3.connect(OUTSIDE + '/made')", "would open the database"),
    Deed("attach", "import sqlite3\nsqlite3.connect(':memory:').execute(f\"attach '{OUTSIDE}/made' as x\")", None),
    Deed("C", "import ctypes\nctypes.CDLL(None).unlink((OUTSIDE + '/kept').encode())", "would call C: 'unlink'"),
    Deed(
        "a shell by C",
        "import ctypes\nctypes.CDLL(None).system(('touch ' + OUTSIDE + '/made').encode())",
        "would call C: 'system'",
    ),
    Deed("catch everything", "import os\ntry:\n    os.remove(OUTSIDE + '/kept')\nexcept:\n    pass", "would remove"),
    Deed("never end", "while True:\n    try:\n        while True: pass\n    except Exception: pass", "more than 10 s"),
    Deed("print without end", "while True:\n    print('x' * 100_000)", "File too large"),
    Deed("interrupt", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    Deed("leave a generator", "raise GeneratorExit", "GeneratorExit"),
    Deed("be cancelled", "import asyncio\nraise asyncio.CancelledError", "CancelledError"),
    Deed("take all memory", "kept = bytearray(1 << 33)", "MemoryError"),
)
