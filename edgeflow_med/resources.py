"""Where the files lie that travel with the package: model weights and sample images.

In a checkout the folders stand beside the package; the wheel and the Slicer extension carry them inside it, under
``_data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource(name: Literal["weights", "sample_data"]) -> Path:
    """Find a folder of files that travels with the package.

    Args:
        name: ``"weights"``, one MONAI bundle per model, or ``"sample_data"``, real scans with prompts.

    Returns:
        The folder; it exists unless the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name
