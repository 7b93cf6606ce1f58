"""Installation of the Python packages that the library needs, which happens only when the reader agrees.

The requirements are those of the ``pyproject.toml`` that ships with the library. Nothing that Slicer brings is ever
replaced: everything installed is pinned while pip works.
"""

import importlib
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError

import slicer
from slicer.i18n import tr as _


def add_checkout_to_path() -> None:
    """Make the library of a source checkout importable; an installed extension carries it beside the module."""
    root = Path(__file__).resolve().parents[2]
    if find_spec("edgeflow_med") is None and (root / "edgeflow_med").is_dir():
        sys.path.append(str(root))


def missing() -> list:
    """Requirements that are not met (``packaging.requirements.Requirement``)."""
    from slicer import packaging

    add_checkout_to_path()
    importlib.invalidate_caches()
    from edgeflow_med import requirements

    return requirements.missing(packaging)


def report() -> list[str]:
    """Say in one line each which library is used, which packages are missing, and how to get them."""
    lacking = missing()
    from edgeflow_med import requirements

    return requirements.report(lacking, _)


def install(wheels: Path | None = None) -> bool:
    """Install what is missing, if the reader agrees.

    Args:
        wheels: A folder of wheels, to do without a network; otherwise PyTorch comes through its extension and the rest
            from the registry.

    Returns:
        Whether everything is there now.
    """
    from slicer import packaging

    lacking = missing()
    from edgeflow_med import requirements

    if not lacking or requirements.obstacles(lacking, wheels):
        return not lacking
    question, details = requirements.question(lacking, wheels, _), "\n".join(map(str, lacking))
    if not slicer.util.confirmOkCancelDisplay(question, detailedText=details):
        return False
    try:
        torch = next((each for each in lacking if each.name == "torch"), None)
        if torch is not None and wheels is None:
            import PyTorchUtils

            # chooses the build for this machine's GPU; before MONAI, which would bring any
            PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=str(torch.specifier))
        requirements.install(missing(), packaging, wheels)
    except CalledProcessError as error:  # Slicer has shown what pip said
        logging.getLogger("EdgeFlow").error("Installation failed: %s", error)
    return not missing()
