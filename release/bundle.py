"""Makes an offline bundle: all packages that magetui needs, and an installer that needs only Python.

    uv run python -m release.bundle FOLDER [--python 3.11 ...] [--platform manylinux2014_x86_64]

The bundle is one archive, `magetui-VERSION.tar.gz`. On a host without internet:

    tar xzf magetui-VERSION.tar.gz && python3 magetui-VERSION/install.py

Without `--python` and `--platform`, the bundle fits hosts with this interpreter and this kind of machine. `--python`
may be given several times.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from release.sbom import of_bundle

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def make(folder: Path, pythons: Sequence[str], kind: str | None) -> Path:
    """Write the bundle into a folder and return its path. `kind` is a platform tag of pip, or None for this machine.

    Raises `subprocess.CalledProcessError` if a package cannot be built or downloaded.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("uv builds the bundle, and is not on PATH.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch) / "wheels"
        subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(CHECKOUT)], check=True)
        (own,) = wheels.glob("magetui-*.whl")
        version = own.name.split("-")[1]
        for python in pythons:
            _download(uv, own, wheels, python, kind)
        shutil.copy(HERE / "install.py", scratch)
        bill = Path(scratch) / "sbom.cdx.json"
        bill.write_text(json.dumps(of_bundle(version, wheels.glob("*.whl")), indent=2) + "\n", encoding="utf-8")
        bundle = folder / f"magetui-{version}.tar.gz"
        with tarfile.open(bundle, "w:gz") as archive:
            for file in (Path(scratch) / "install.py", bill):
                archive.add(file, f"magetui-{version}/{file.name}")
            for wheel in sorted(wheels.glob("*.whl")):
                archive.add(wheel, f"magetui-{version}/wheels/{wheel.name}")
    return bundle


def _download(uv: str, own: Path, wheels: Path, python: str, kind: str | None) -> None:
    """Download pip, which installs the rest, and what magetui needs under one version of Python."""
    chosen = ["--python-version", python]
    if kind is None and platform.system() == "Linux":
        kind = f"manylinux2014_{platform.machine()}"
    if kind is not None:  # packages name the oldest C library that they fit, so each of these tags finds some
        newer = kind.replace("manylinux2014", "manylinux_2_28")
        chosen += ["--platform", kind, *(["--platform", newer] if newer != kind else [])]
    subprocess.run(
        [
            *(uv, "tool", "run", "--quiet", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary", ":all:", "--dest", str(wheels), *chosen, str(own), "pip"),
        ],
        check=True,
    )


def main() -> None:
    """Make the bundle that the arguments name, and print its path and size."""
    parser = argparse.ArgumentParser(description="Make an offline bundle of magetui.")
    parser.add_argument("folder", type=Path, help="where to write the bundle")
    parser.add_argument("--python", action="append", help=f"a version of Python (default: {THIS_PYTHON})")
    parser.add_argument("--platform", help="a platform tag of pip (default: this machine's)")
    chosen = parser.parse_args()
    bundle = make(chosen.folder, chosen.python or [THIS_PYTHON], chosen.platform)
    print(f"{bundle}  {bundle.stat().st_size / 1_000_000:.0f} MB")


if __name__ == "__main__":
    main()
