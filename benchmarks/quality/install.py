"""Fetch a peer: ``python -m benchmarks.quality.install NAME...`` (or ``all``).

Packages come by name and version from whatever registry ``pip`` and ``npm`` are set up for, and are refused unless
their SHA-256 is the pinned one. Everything goes to a cache folder of this benchmark. The environment stays as it is:
peers and what they require ask for versions of torch and numpy that this project cannot run with.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.quality import PEERS
from benchmarks.quality.peer import CACHE, Package, Peer
from edgeflow_med.errors import EdgeFlowError, ModelError, ReadError, UsageError


def install(peer: Peer) -> None:
    """Fetch, check and unpack a peer's files; the peer's folder appears only when all is done.

    Raises:
        ReadError: The package could not be fetched or is not the pinned one.
        ModelError: A file is missing from it.
    """
    if peer.package is None or peer.folder.is_dir():  # what an extra of this project lacks is no file of the peer's
        return
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        folder = Path(scratch) / peer.name
        folder.mkdir()
        if peer.package.members:
            archive = _download(peer.package, Path(scratch))
            unpack(archive, peer.package, folder)
        else:
            _install_library(peer.package, Path(scratch), folder)
        if peer.after_install is not None:
            peer.after_install(folder)
        folder.replace(peer.folder)


def _download(package: Package, scratch: Path) -> Path:
    """The package's archive, checked."""
    before = set(scratch.iterdir())
    if package.registry == "npm":
        _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], package, scratch)
    else:
        requirements = _requirements(package, scratch)
        before.add(requirements)
        kind = ["--no-binary", ":all:"] if package.source else ["--only-binary", ":all:"]
        _run(_pip("download", "--dest", ".", *kind, "--requirement", requirements.name), package, scratch)
    archive = next((path for path in scratch.iterdir() if path not in before), None)
    if archive is None:
        raise ReadError(f"Fetching {package.name} {package.version} brought no file; try again.")
    check(archive, package)
    return archive


def check(archive: Path, package: Package) -> None:
    """Compare an archive with its pinned SHA-256.

    Raises:
        ReadError: They differ.
    """
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ReadError(
            f"{package.name} {package.version} has SHA-256 {digest}, not {package.sha256}; "
            "do not use it, and report it."
        )


def _install_library(package: Package, scratch: Path, folder: Path) -> None:
    """Put a Python library into a folder of its own, without its dependencies: this project has them already."""
    requirements = _requirements(package, scratch)
    # Built here where only the source is pinned: a wheel made for numpy 1 does not load beside numpy 2.
    # The same goes for one that pip has kept.
    built = ["--no-binary", package.name, "--no-build-isolation", "--no-cache-dir"]
    kind = built if package.source else ["--only-binary", ":all:"]
    _run(_pip("install", "--target", str(folder), *kind, "--requirement", requirements.name), package, scratch)


def _requirements(package: Package, scratch: Path) -> Path:
    """A requirements file that makes pip itself check the hash before it builds or unpacks anything."""
    path = scratch / "requirements.txt"
    path.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    return path


def _pip(command: str, *arguments: str) -> list[str]:
    # No dependencies, ever: a peer's would replace torch and numpy.
    return [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--require-hashes", *arguments]


def _run(command: Sequence[str], package: Package, folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ReadError(f"{command[0]} is needed to fetch {package.name}; install it.") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        reason = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no reason given")
        raise ReadError(
            f"Cannot fetch {package.name} {package.version} ({reason.strip()}); check the connection to the registry."
        ) from None


def unpack(archive: Path, package: Package, folder: Path) -> None:
    """Copy the wanted members of an archive (zip or tar) into the peer's folder.

    Raises:
        ReadError: A member would land outside the folder.
        ModelError: A wanted member is missing.
    """
    found: set[str] = set()
    for name, content in _members(archive, tuple(source for source, _ in package.members)):
        source, target = next(
            (s, t) for s, t in package.members if name == s or (s.endswith("/") and name.startswith(s))
        )
        path = (folder / (target + name[len(source) :])).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ReadError(f"{package.name} {package.version} holds {name}, which leads out of its folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found.add(source)
    missing = [source for source, _ in package.members if source not in found]
    if missing:
        raise ModelError(
            f"{package.name} {package.version} does not hold {', '.join(missing)}; another package is meant."
        )


def _members(archive: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Files of an archive that are wanted by name, or lie in a wanted folder."""

    def is_wanted(name: str) -> bool:
        return name in wanted or any(name.startswith(w) for w in wanted if w.endswith("/"))

    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content:
            for info in content.infolist():
                if not info.is_dir() and is_wanted(info.filename):
                    yield info.filename, content.read(info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() and is_wanted(member.name) else None
            if file is not None:
                yield member.name, file.read()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if everything asked for is there afterwards, else 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.install", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"all, or some of: {', '.join(PEERS)}")
    parser.add_argument("--again", action="store_true", help="fetch again what is there already")
    options = parser.parse_args(arguments)
    names = list(PEERS) if "all" in options.names else options.names
    failed = False
    for name in names:
        try:
            if name not in PEERS:
                raise UsageError(f"Unknown peer {name!r}; give all, or one of {', '.join(PEERS)}.")
            if options.again:
                shutil.rmtree(PEERS[name].folder, ignore_errors=True)
            install(PEERS[name])
            print(f"{name}: {'needs no files' if PEERS[name].package is None else 'installed'}")
        except EdgeFlowError as error:
            print(error, file=sys.stderr)
            failed = True
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
