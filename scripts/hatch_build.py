"""Build hook of the wheel: weights and sample images travel as package data, without a second copy in git."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DATA = ("weights", "sample_data")


class DataHook(BuildHookInterface[Any]):
    """Adds ``weights/`` and ``sample_data/`` of the checkout as ``edgeflow_med/_data/``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folders to add; an editable installation reads them where they are."""
        if version == "editable":
            return
        for folder in DATA:
            if not (Path(self.root) / folder).is_dir():
                raise FileNotFoundError(f"{folder}/ is missing from {self.root}; the wheel would be incomplete")
            build_data["force_include"][folder] = f"edgeflow_med/_data/{folder}"
