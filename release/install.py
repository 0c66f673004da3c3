#!/usr/bin/env python3
"""Installs magetui from this bundle: into a folder of its own, without internet, with nothing but Python.

python3 install.py [FOLDER] [--bin FOLDER]
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 10)


def main() -> None:
    """Install, compile the bytecode, link the program, and print how to start it."""
    parser = argparse.ArgumentParser(description="Install magetui from this bundle, without internet.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path.home() / ".local" / "share" / "magetui")
    parser.add_argument("--bin", type=Path, default=Path.home() / ".local" / "bin", help="where to link the program")
    chosen = parser.parse_args()
    if sys.version_info < OLDEST:
        sys.exit(f"magetui needs Python 3.10 or later, and this is {sys.version.split()[0]}.")
    folder = chosen.folder.expanduser().resolve()
    venv.EnvBuilder(clear=(folder / "pyvenv.cfg").exists(), symlinks=True).create(folder)
    (pip,) = (HERE / "wheels").glob("pip-*.whl")
    command = [
        *(str(folder / "bin" / "python"), str(pip / "pip"), "install", "--quiet", "--no-cache-dir", "--no-index"),
        *("--disable-pip-version-check", "--find-links", str(HERE / "wheels"), "magetui"),
    ]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(
            f"magetui was not installed. The bundle may be for another version than Python {sys.version.split()[0]}, "
            "or for another kind of machine: its wheels say for which."
        )
    program, link = folder / "bin" / "magetui", chosen.bin.expanduser() / "magetui"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    if link.exists():
        print(f"{link} exists and is no link, so it stays. Start magetui with: {program}")
        return
    link.symlink_to(program)
    print(f"magetui is installed in {folder}. Start it with: {link}")


if __name__ == "__main__":
    main()
