"""The client drivers of SQL Server: the URL of a database for each, and Microsoft's ODBC driver for pyodbc.

The wheel mssql-python-odbc carries the ODBC driver. It is registered in a folder that `ODBCSYSINI` names, as a system's
own configuration would be (unixODBC's manual, odbcinst.ini).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.sqlserver.server import DATABASE, HOST, PASSWORD, USER

each_driver = pytest.mark.parametrize(
    "driver",
    ["pymssql", pytest.param("pyodbc", marks=pytest.mark.odbc), pytest.param("mssqlpython", marks=pytest.mark.odbc)],
)
ODBC_NAME = "ODBC Driver 18 for SQL Server"


def url(driver: str, port: int, password: str = PASSWORD) -> str:
    """Return the URL of the fake server's database, for pyodbc in the form that Mage's documentation shows."""
    encoded = quote(password, safe="")
    return {
        "pymssql": f"mssql+pymssql://{USER}:{encoded}@{HOST}:{port}/{DATABASE}",
        # Nothing is encoded here.
        "pyodbc": f"mssql+pyodbc://?odbc_connect=DRIVER={{{ODBC_NAME}}};SERVER={HOST},{port};DATABASE={DATABASE};"
        f"UID={USER};PWD={{{password.replace('}', '}}')}}};ENCRYPT=no;TrustServerCertificate=yes;",
        "mssqlpython": f"mssql+mssqlpython://{USER}:{encoded}@{HOST}:{port}/{DATABASE}?Encrypt=no",
    }[driver]


def odbc_environment(folder: Path) -> dict[str, str]:
    """Register Microsoft's ODBC driver in `folder`; return the variables by which unixODBC finds it."""
    found = find_spec("mssql_python_odbc")
    assert found is not None and found.submodule_search_locations, "the wheel mssql-python-odbc is not installed"
    [package] = found.submodule_search_locations
    [library] = Path(package).glob("libs/linux/debian_ubuntu/*/lib/libmsodbcsql-*")
    (folder / "odbcinst.ini").write_text(f"[{ODBC_NAME}]\nDriver={library}\n")
    return {"ODBCSYSINI": str(folder)}
