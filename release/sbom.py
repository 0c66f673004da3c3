"""The software bill of materials (CycloneDX 1.6): what the wheel requires, and which packages are in a bundle.

A scanner of a host finds it in the wheel's metadata (PEP 770), and in the bundle beside the installer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def of_wheel(version: str, requirements: Iterable[str]) -> dict[str, Any]:
    """Return the bill of the wheel: the packages that it requires, each with the requirement as it is declared."""
    parts = []
    for requirement in sorted(requirements, key=str.lower):
        match = NAME.match(requirement)
        assert match is not None, requirement
        said = [{"name": "requirement", "value": requirement}]
        parts.append({**_part(match[0]), "scope": "required", "properties": said})
    return _bill(version, parts)


def of_bundle(version: str, wheels: Iterable[Path]) -> dict[str, Any]:
    """Return the bill of a bundle: every wheel in it, with its version and its SHA-256."""
    parts = []
    for wheel in sorted(wheels):
        name, of = wheel.name.split("-")[:2]
        hashes = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
        parts.append({**_part(name, of, wheel.name), "hashes": hashes})
    return _bill(version, parts)


def _bill(version: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    root = {**_part("magetui", version), "type": "application", "licenses": [{"license": {"id": "Apache-2.0"}}]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": list(parts),
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _part(name: str, version: str | None = None, file: str | None = None) -> dict[str, Any]:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    purl = f"pkg:pypi/{plain}" + (f"@{version}" if version else "")
    known = {"version": version} if version else {}
    return {"type": "library", "bom-ref": file or purl, "name": plain, **known, "purl": purl}
