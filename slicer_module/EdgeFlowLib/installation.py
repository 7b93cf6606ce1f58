"""Which Python packages are there, and their installation, which happens only when the reader agrees.

The requirements are those of the ``pyproject.toml`` that ships with the library. Nothing that Slicer brings is ever
replaced: everything installed is pinned while pip works.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError

import slicer
from slicer.i18n import tr as _

BUNDLED = {"numpy", "scipy", "simpleitk", "pydicom", "highdicom", "pillow", "packaging"}  # too old: so is this Slicer


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
    library = Path(find_spec("edgeflow_med").origin).parent
    packed = library / "_data" / "pyproject.toml"
    needed = packaging.load_pyproject_dependencies(packed if packed.is_file() else library.parent / packed.name)
    return [each for each in needed if not packaging.pip_check(each)]


def report() -> list[str]:
    """Say in one line each which library is used, which packages are missing, and how to get them."""
    lacking = missing()
    library = importlib.import_module("edgeflow_med")
    lines = [f"edgeflow_med {library.__version__}, {Path(library.__file__).parent}"]
    if not lacking:
        return [*lines, _("All packages that it needs are there.")]
    told = _("Missing packages: {names}").format(names=", ".join(map(str, lacking)))
    return [*lines, told, *_obstacles(lacking, wheels=None)]


def install(wheels: Path | None = None) -> bool:
    """Install what is missing, if the reader agrees.

    Args:
        wheels: A folder of wheels, to do without a network; otherwise PyTorch comes through its extension and the rest
            from the registry.

    Returns:
        Whether everything is there now.
    """
    lacking = missing()
    if not lacking or _obstacles(lacking, wheels) or not _agreed(lacking, wheels):
        return not lacking
    try:
        torch = next((each for each in lacking if each.name == "torch"), None)
        if torch is not None and wheels is None:
            import PyTorchUtils

            # chooses the build for this machine's GPU; before MONAI, which would bring any
            PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=str(torch.specifier))
        _pip(missing(), wheels)
    except CalledProcessError as error:  # Slicer has shown what pip said
        logging.getLogger("EdgeFlow").error("Installation failed: %s", error)
    return not missing()


def doctor() -> list[str]:
    """What ``edgeflow-med doctor`` finds; needs everything to be there, and some seconds."""
    from edgeflow_med.cli.doctor import checks

    return [f"{check.word}: {check.name}, {check.said}" for check in checks()]


def _obstacles(lacking: list, wheels: Path | None) -> list[str]:
    """What pip cannot mend, and what to do about it."""
    names = {each.name.lower() for each in lacking}
    lines = []
    if old := sorted(names & BUNDLED & set(_installed())):
        told = _("This Slicer brings too old a version of {names}: please use Slicer 5.12 or newer.")
        lines.append(told.format(names=", ".join(old)))
    if "torch" in names and wheels is None and find_spec("PyTorchUtils") is None:
        lines.append(_("Install the extension PyTorch in the Extensions Manager, or choose a folder of wheels."))
    return lines


def _agreed(lacking: list, wheels: Path | None) -> bool:
    text = _("EdgeFlow needs {count} more Python packages. Install them {source}?\n\nNothing installed is replaced.")
    source = str(wheels) if wheels else _("from the Internet (PyTorch: up to 3 GB)")
    details = "\n".join(map(str, lacking))
    return slicer.util.confirmOkCancelDisplay(text.format(count=len(lacking), source=source), detailedText=details)


def _installed() -> dict[str, str]:
    """Version of each installed distribution, by its name in small letters."""
    return {each.name.lower(): each.version for each in metadata.distributions() if each.name and each.version}


def _pip(lacking: list, wheels: Path | None) -> None:
    from slicer import packaging

    wanted = {each.name.lower() for each in lacking}
    pins = [f"{name}=={version}" for name, version in _installed().items() if name not in wanted]
    offline = ["--no-index", "--find-links", str(wheels)] if wheels else []
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins), "utf-8")
        packaging.pip_install([*offline, *map(str, lacking)], constraints=constraints, requester="EdgeFlow")
