"""What the package needs of other packages and what is there, for programs that install it piece by piece.

Only the standard library is imported: all this is asked before anything else can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from edgeflow_med import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# What 3D Slicer brings: it is never replaced, so where one of them is too old, so is that Slicer.
BUNDLED = {"numpy", "scipy", "simpleitk", "pydicom", "highdicom", "pillow", "packaging"}


class Packaging(Protocol):
    """What :mod:`slicer.packaging` of 3D Slicer does for us."""

    def load_pyproject_dependencies(self, path: Path, /) -> list[Requirement]:
        """The requirements of a project."""

    def pip_check(self, requirement: Requirement, /) -> bool:
        """Whether a requirement is met."""

    def pip_install(self, requirements: list[str], /, *, constraints: Path, requester: str) -> Any:
        """Run pip."""


def project_file() -> Path:
    """The ``pyproject.toml`` with the requirements: in Slicer's extension inside the package, in a checkout beside."""
    package = Path(__file__).resolve().parent
    packed = package / "_data" / "pyproject.toml"
    return packed if packed.is_file() else package.parent / packed.name


def installed() -> dict[str, str]:
    """Version of each installed distribution, by its name in small letters."""
    return {each.name.lower(): each.version for each in metadata.distributions() if each.name and each.version}


def missing(packaging: Packaging) -> list[Requirement]:
    """Requirements that are not met."""
    return [each for each in packaging.load_pyproject_dependencies(project_file()) if not packaging.pip_check(each)]


def install(lacking: Iterable[Requirement], packaging: Packaging, wheels: Path | None = None) -> None:
    """Have pip install what is missing; whatever else is installed is kept at its version.

    Args:
        lacking: What to install.
        packaging: Runs pip.
        wheels: A folder to take them from, without a network.

    Raises:
        CalledProcessError: pip failed.
    """
    wanted = {each.name.lower() for each in lacking}
    pins = [f"{name}=={version}" for name, version in installed().items() if name not in wanted]
    offline = ["--no-index", "--find-links", str(wheels)] if wheels else []
    with TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins), "utf-8")
        packaging.pip_install([*offline, *map(str, lacking)], constraints=constraints, requester="EdgeFlow")


def question(lacking: Sequence[Requirement], wheels: Path | None = None, tr: Callable[[str], str] = str) -> str:
    """What a reader is asked before anything is installed; ``tr`` translates."""
    text = tr("EdgeFlow needs {count} more Python packages. Install them {source}?\n\nNothing installed is replaced.")
    source = str(wheels) if wheels else tr("from the Internet (PyTorch: up to 3 GB)")
    return text.format(count=len(lacking), source=source)


def obstacles(lacking: Iterable[Requirement], wheels: Path | None = None, tr: Callable[[str], str] = str) -> list[str]:
    """What pip cannot mend in Slicer, and what to do about it, in a sentence each.

    Args:
        lacking: What is not met.
        wheels: The folder that they come from; None if PyTorch comes by Slicer's extension of that name.
        tr: Translates a sentence.
    """
    names, lines = {each.name.lower() for each in lacking}, list[str]()
    if old := sorted(names & BUNDLED & set(installed())):
        told = tr("This Slicer brings too old a version of {names}: please use Slicer 5.12 or newer.")
        lines.append(told.format(names=", ".join(old)))
    if "torch" in names and wheels is None and find_spec("PyTorchUtils") is None:
        lines.append(tr("Install the extension PyTorch in the Extensions Manager, or choose a folder of wheels."))
    return lines


def report(lacking: Sequence[Requirement], tr: Callable[[str], str] = str) -> list[str]:
    """In a line each: which package this is, what is missing, and how to get it; ``tr`` translates a sentence."""
    first = f"edgeflow_med {__version__}, {Path(__file__).parent}"
    if not lacking:
        return [first, tr("All packages that it needs are there.")]
    told = tr("Missing packages: {names}").format(names=", ".join(map(str, lacking)))
    return [first, told, *obstacles(lacking, tr=tr)]
