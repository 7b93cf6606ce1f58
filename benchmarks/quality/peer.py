"""What is known about a peer, and what its adapter needs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ModelError
from edgeflow_med.predictors.base import SliceRequest

CACHE = Path(__file__).parent / ".cache"
"""Where ``python -m benchmarks.quality.install`` puts what it fetched; not under version control."""

Kind = Literal["clicks", "scribbles", "box"]
Encoding = TypeVar("Encoding")


@dataclass(frozen=True)
class Package:
    """A published package and what is taken from it.

    Attributes:
        registry: ``"pypi"`` or ``"npm"``.
        name: As the registry knows it.
        version: Exactly this one.
        sha256: Of the archive.
        members: Paths in the archive (a folder with its trailing slash) to paths in the peer's folder; empty for a
            library, which is installed beside the others instead of unpacked.
        source: Take the source distribution, not a wheel.
    """

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    sha256: str
    members: tuple[tuple[str, str], ...] = ()
    source: bool = False


@dataclass(frozen=True)
class Peer:
    """The record of a peer, as it stands in tables.

    Attributes:
        name: As given to :func:`benchmarks.quality.load_peer`.
        title: As tables call it.
        code_licence: Licence of the code that runs it.
        weights_licence: Licence of the weights; empty for a method without any.
        parameters: Of the network, in millions; 0 for a method without any.
        megabytes: Size on disk of what it needs at run time.
        prompts: What it understands. A method that lists ``scribbles`` and not ``clicks`` answers clicks, badly.
        seen: Whether its training may have held the images that it is measured on, and why.
        package: Where it comes from; None if it needs nothing beyond the requirements of this project.
        shares: Name of the peer of the same package in whose folder the files are; empty for a folder of its own.
        extra: An extra of this project that it needs, with the module by which to tell that it is installed.
        python: The interpreter of an environment of its own that it needs, made by ``scripts/slicer_environment.py``.
        after_install: What is left to do with the unpacked files, given their folder.
        adapts: What the adapter adds that the published method does not say.
    """

    name: str
    title: str
    code_licence: str
    weights_licence: str
    parameters: float
    megabytes: float
    prompts: tuple[Kind, ...]
    seen: str
    package: Package | None = None
    shares: str = ""
    extra: tuple[str, str] | None = None
    python: Path | None = None
    after_install: Callable[[Path], None] | None = None
    adapts: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are, or would be."""
        return CACHE / (self.shares or self.name)

    @property
    def installed(self) -> bool:
        """Whether its files are there; they are put there as a whole or not at all."""
        if self.extra is not None and find_spec(self.extra[1]) is None:
            return False
        if self.python is not None:
            return self.python.exists()
        return self.package is None or self.folder.is_dir()

    @property
    def install_command(self) -> str:
        """What to run when they are not."""
        if self.extra is not None and find_spec(self.extra[1]) is None:
            return f"pip install -c constraints.txt -e .[{self.extra[0]}]"
        if self.python is not None:
            return "python scripts/slicer_environment.py"
        return f"python -m benchmarks.quality.install {self.shares or self.name}"

    @property
    def version(self) -> str:
        """What the answers come from, for reports."""
        if self.package is None:
            return "of this project"
        return f"{self.package.registry} {self.package.name} {self.package.version}"

    def file(self, name: str) -> Path:
        """A file of the peer.

        Raises:
            ModelError: It is not installed.
        """
        if not self.installed:
            raise ModelError(f"The files of peer {self.name!r} are not installed; run `{self.install_command}`.")
        return self.folder / name

    @contextmanager
    def on_path(self) -> Iterator[None]:
        """Let Python import from the peer's folder for a while.

        Raises:
            ModelError: It is not installed.
        """
        folder = str(self.file("."))
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


class LastEncoding(Generic[Encoding]):
    """Keeps what an encoder made of the last image, so that a later click costs what it costs in the published tool.

    A request without a previous answer always encodes: a first click is timed with its encoding even where the slice
    was seen before, for another target.
    """

    def __init__(self, encode: Callable[[NDArray[np.float32]], Encoding]) -> None:
        self._encode = encode
        self._last: tuple[bytes, Encoding] | None = None

    def of(self, request: SliceRequest) -> Encoding:
        """The encoding of the request's image."""
        image = np.ascontiguousarray(request.image)
        digest = hashlib.blake2b(image.tobytes() + repr(image.shape).encode()).digest()
        if request.previous is None or self._last is None or self._last[0] != digest:
            self._last = (digest, self._encode(image))
        return self._last[1]
