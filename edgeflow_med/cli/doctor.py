"""``edgeflow-med doctor``: whether the main job can run here, and the command that mends what is missing."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from rich.text import Text

from edgeflow_med import __version__
from edgeflow_med.cli.output import make_console
from edgeflow_med.errors import EdgeFlowError, UsageError

PROJECT = "edgeflow-med"
_NAME, _WORD = 20, 9  # widths of columns


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        said: How it is.
        good: Whether nothing is missing.
        needed: Whether the main job needs it.
        fix: The command that mends it.
    """

    name: str
    said: str
    good: bool = True
    needed: bool = True
    fix: str = ""

    @property
    def word(self) -> str:
        """The verdict."""
        return "ok" if self.good else "missing" if self.needed else "absent"


def told() -> list[str]:
    """The verdicts in a line each, for programs with a window."""
    return [f"{check.word}: {check.name}, {check.said}" for check in checks()]


def doctor() -> None:
    """Check this installation, and name what is missing."""
    console = make_console()
    missing = []
    for check in checks():
        style = {"ok": "green", "missing": "red"}.get(check.word, "dim")
        console.print(
            Text.assemble((f"  {check.word:<{_WORD}}", style), (f"{check.name:<{_NAME}}", "bold"), check.said)
        )
        if check.fix:
            console.print(" " * (2 + _WORD + _NAME) + check.fix)
        if check.needed and not check.good:
            missing.append(check)
    if missing:
        fix = next((check.fix for check in missing if check.fix), _pip(PROJECT))
        names = ", ".join(check.name for check in missing)
        raise UsageError(f"The main job cannot run here, missing: {names}; run: {fix}")
    console.print("\nThe main job can run here: try `edgeflow-med demo`.")


def checks() -> Iterator[Check]:
    """Look at everything, one thing after the other; the model's answer takes seconds."""
    yield Check("Python", f"{platform.python_version()} on {platform.platform(terse=True)}, {sys.executable}")
    yield from _packages()
    yield _device()
    yield from _models()
    yield _sample()
    yield _answer()
    yield from _extras()


def _packages() -> Iterator[Check]:
    """Everything that the package requires, from its own metadata."""
    if _metadata() is None:
        yield Check(PROJECT, f"{__version__}, from its sources, not installed", False, needed=False, fix=_pip("-e ."))
        return
    yield Check(PROJECT, __version__)
    for name, (line, installed) in _requirements("").items():
        if installed:
            yield Check(name, metadata.version(name))
        else:
            yield Check(name, f"{_installed(name) or 'not installed'}, needs {line}", good=False, fix=_pip(line))


def _extras() -> Iterator[Check]:
    """What each optional part requires."""
    about = _metadata()
    for extra in (about.get_all("Provides-Extra") if about is not None else None) or []:
        absent = [name for name, (_, good) in _requirements(extra).items() if not good]
        said = f"without {', '.join(absent)}" if absent else "complete"
        fix = _pip(f"{PROJECT}[{extra}]") if absent else ""
        yield Check(f"[{extra}]", said, good=not absent, needed=False, fix=fix)


def _requirements(extra: str) -> dict[str, tuple[str, bool]]:
    """Name -> requirement and whether it is met: of the package itself, or what an extra adds to it."""
    from packaging.requirements import Requirement

    found = {}
    about = _metadata()
    for line in (about.get_all("Requires-Dist") if about is not None else None) or []:
        requirement = Requirement(line)
        if requirement.marker is not None:
            always = requirement.marker.evaluate({"extra": ""})
            if not requirement.marker.evaluate({"extra": extra}) or (extra and always):
                continue
        elif extra:
            continue
        version = _installed(requirement.name)
        good = version is not None and requirement.specifier.contains(version, prereleases=True)
        found[requirement.name] = (str(requirement).split(";", maxsplit=1)[0], good)
    return found


def _metadata() -> metadata.PackageMetadata | None:
    try:
        return metadata.metadata(PROJECT)
    except metadata.PackageNotFoundError:  # run from its sources
        return None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> Check:
    try:
        import torch

        from edgeflow_med.predictors.torch import choose_device
    except (ImportError, OSError) as error:  # OSError: a library that torch links to does not load
        return Check("Device", f"torch does not load ({error})", good=False, fix=_pip("--force-reinstall torch"))
    if choose_device().type == "cuda":
        return Check("Device", f"cuda ({torch.cuda.get_device_name()}), CUDA {torch.version.cuda}")
    return Check("Device", f"cpu, {torch.get_num_threads()} threads; no CUDA device is seen by torch")


def _models() -> Iterator[Check]:
    """Every model that is here, with its checksum verified; the default one must be among them."""
    from edgeflow_med.weights import DEFAULT_MODEL, bundle_names, checksum, find_bundle

    fix = _pip(f"--force-reinstall --no-deps {PROJECT}")
    for name in sorted({DEFAULT_MODEL, *bundle_names()}):
        try:
            bundle = find_bundle(name)
        except EdgeFlowError as error:
            yield Check("Model", str(error), good=False, needed=name == DEFAULT_MODEL, fix=fix)
            continue
        good = checksum(bundle.model_file) == bundle.sha256
        size = bundle.model_file.stat().st_size / 1e6
        said = f"{name} {bundle.version}, {size:.1f} MB, checksum {'verified' if good else 'differs: it was altered'}"
        yield Check("Model", said, good=good, needed=name == DEFAULT_MODEL, fix="" if good else fix)


def _sample() -> Check:
    from edgeflow_med.cli.demo import DEFAULT_SAMPLE, find_sample

    try:
        folder = find_sample(DEFAULT_SAMPLE)
    except EdgeFlowError as error:
        return Check("Sample", str(error), good=False, needed=False, fix=_pip(f"--force-reinstall --no-deps {PROJECT}"))
    return Check("Sample", f"{DEFAULT_SAMPLE}, {len(list((folder / 'series').iterdir()))} files")


def _answer() -> Check:
    """Let the default model answer a small slice."""
    import numpy as np

    from edgeflow_med.predictors import load_predictor
    from edgeflow_med.predictors.base import SliceRequest, Stroke

    try:
        predictor = load_predictor()
        began = time.perf_counter()
        predictor.predict(SliceRequest(np.zeros((64, 64), np.float32), strokes=(Stroke(((32.0, 32.0),)),)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user came to see
        return Check("Answer", f"the model does not answer: {' '.join(str(error).split())}", good=False)
    return Check("Answer", f"the model answered a slice in {time.perf_counter() - began:.2f} s")


def _pip(what: str) -> str:
    target = what if " " in what or what.isalnum() else f'"{what}"'
    return f"{sys.executable} -m pip install {target}"
