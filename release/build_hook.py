"""Puts the bill of materials into each wheel that is built."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BillOfMaterials(BuildHookInterface):  # type: ignore[misc]  # the build brings hatchling, and mypy does not see it
    """Called by hatchling. `root` is the folder of the sources, and `directory` that of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the bill beside the wheel, and name it. An editable install has none."""
        if version != "standard":
            return
        sys.path.insert(0, self.root)
        from release.sbom import of_wheel

        bill = of_wheel(self.metadata.version, self.metadata.core.dependencies)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
        build_data["sbom_files"].append(str(self._file.relative_to(self.root)))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        self._file.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        return Path(self.root, "build", "magetui.cdx.json")
