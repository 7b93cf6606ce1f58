"""Where the files lie that travel with the package: model weights and sample images.

In a checkout the folders stand beside the package; the wheel and the Slicer extension carry them inside it, under
``_data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgeflow_med.errors import ReadError


def data_folder(name: Literal["weights", "sample_data"]) -> Path:
    """Find a folder of files that travels with the package.

    Args:
        name: ``"weights"``, one MONAI bundle per model, or ``"sample_data"``, real scans with prompts.

    Raises:
        ReadError: The installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_data" / name, package.parent / name):
        if place.is_dir():
            return place
    raise ReadError(f"The folder {name}/ is neither in {package} nor beside it; install edgeflow-med again.")
