"""Train on a machine that is lent for minutes, and reaches nothing: pack, carry, train, bring back.

Here, with what the other machine lacks as wheels (it has PyTorch):

    python -m edgeflow_med.training.burst pack config.json --output parts --megabytes 60 --wheels wheels

There, after each part has arrived (parts may come one after the other), and after the last:

    python part-2/burst.py unpack part-2 work
    python part-2/burst.py train work out --seconds 540

And here again, what ``out`` brought back becomes a run's folder, ready for ``edgeflow_med.training.export``:

    python -m edgeflow_med.training.burst collect out runs

This file goes along and runs there by itself, so it imports nothing but the standard library before it is needed. It
never waits for what cannot come: a run that fails ends at once and shows why, one that is out of time is asked to save.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeflow_med.training.cases import Case

MEGABYTE = 2**20
PIECE = 15 * MEGABYTE  # files that come back are no larger
START_UP = 40.0  # seconds in which data are read and the first kernels chosen, before a budget begins to count
GRACE = 30.0  # seconds that a run has to save, once it is told to end
HU_STEP, MR_LEVELS = 6, 160  # how coarse values may be: far below the noise of a voxel


class BurstError(Exception):
    """Something is missing or too large."""


# --- here, before -----------------------------------------------------------------------------------------------------


def pack(
    configs: Sequence[Path], output: Path, megabytes: float, wheels: Path | None = None, most: int | None = None
) -> list[Path]:
    """Write the parts: data sets in coarse values, objects, start weights, the code and the wheels.

    Args:
        configs: Of runs that will train side by side, on the same data sets; a run is named after its file.
        output: Folder of the parts.
        megabytes: Largest part.
        wheels: Folder of wheels to install there.
        most: Cases of a data set, a fixed choice of them; None for all.

    Returns:
        The parts' folders.

    Raises:
        BurstError: A config or a data set cannot be read, the runs want different data sets, the output is not empty,
            or something is larger than a part.
    """
    given = [_asked(path) for path in configs]
    if any(one["datasets"] != given[0]["datasets"] or one.get("pseudo") != given[0].get("pseudo") for one in given):
        raise BurstError("Runs that train side by side need the same data sets and objects; pack the others apart.")
    if output.exists() and any(output.iterdir()):
        raise BurstError(f"{output} is not empty; give another --output, or empty it.")
    draft = output / "draft"
    draft.mkdir(parents=True)
    try:
        base = [_write(draft / "code.tar.xz", _code()), _write(draft / "runs.tar.xz", _runs(configs, given, most), 0)]
        if given[0].get("pseudo"):
            folder = Path(given[0]["pseudo"])
            base.append(
                _write(draft / "pseudo.tar.xz", ((f"pseudo/{p.name}", p) for p in sorted(folder.glob("*.npz"))))
            )
        base += [Path(shutil.copy2(path, draft)) for path in (sorted(wheels.glob("*.whl")) if wheels else ())]
        sets = [
            _write(draft / f"data-{n:02d}.tar.xz", _data(Path(folder), n, most))
            for n, folder in enumerate(given[0]["datasets"])
        ]
        bins = _fill(base, sets, megabytes * MEGABYTE - Path(__file__).stat().st_size)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    parts = []
    for n, files in enumerate(bins, 1):
        parts.append(output / f"part-{n}")
        parts[-1].mkdir()
        shutil.copy2(__file__, parts[-1] / "burst.py")  # whichever part arrives can be unpacked
        for path in files:
            path.rename(parts[-1] / path.name)
    draft.rmdir()
    return parts


def _asked(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        list(config["datasets"])
    except (ValueError, KeyError, TypeError) as error:
        raise BurstError(f"{path} is no config of a training ({error!r}); see docs/how-to/train.md.") from None
    return config


def _fill(base: Sequence[Path], sets: Sequence[Path], room: float) -> list[list[Path]]:
    """What every run needs first, then the largest data set that still fits."""
    bins = [list(base)]
    for path in sorted(sets, key=lambda path: -path.stat().st_size):
        size = path.stat().st_size
        place = next((part for part in bins if sum(p.stat().st_size for p in part) + size <= room), None)
        if place is None:
            bins.append(place := [])
        place.append(path)
    largest = max(sum(path.stat().st_size for path in part) for part in bins)
    if largest > room:
        raise BurstError(f"A part needs {largest / MEGABYTE:.0f} MB; allow more --megabytes, or take less with --most.")
    return bins


def _write(path: Path, members: Iterator[tuple[str, Path | bytes]], effort: int = 6) -> Path:
    with lzma.open(path, "wb", preset=effort) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members:
            if isinstance(content, Path):
                archive.add(content, name, recursive=False)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def _code() -> Iterator[tuple[str, Path | bytes]]:
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{package.name}/{path.relative_to(package).as_posix()}", path


def _runs(
    configs: Sequence[Path], given: Sequence[dict[str, Any]], most: int | None
) -> Iterator[tuple[str, Path | bytes]]:
    notes = (
        f"Trained on a lent machine, on values in steps of {HU_STEP} HU (MR: a {MR_LEVELS}th of the window; 8 bits as "
        f"they are) and {f'at most {most}' if most else 'all training'} cases of a data set.\n"
    )
    for path, config in zip(configs, given, strict=True):
        there = dict(config, datasets=[f"data/{n}/{Path(one).name}" for n, one in enumerate(config["datasets"])])
        if config.get("pseudo"):
            there["pseudo"] = "pseudo"
        if config.get("start"):
            there["start"] = f"start/{path.stem}{Path(config['start']).suffix}"
            yield there["start"], Path(config["start"])
        yield f"runs/{path.stem}/asked.json", json.dumps(config).encode()
        yield f"runs/{path.stem}/notes.md", notes.encode()
        yield f"runs/{path.stem}/config.json", json.dumps(there).encode()


def _data(folder: Path, number: int, most: int | None) -> Iterator[tuple[str, Path | bytes]]:
    """A data set's training cases; those for validation stay here."""
    import nibabel as nib
    import numpy as np

    from edgeflow_med.errors import EdgeFlowError
    from edgeflow_med.training.cases import read_cases, validation_names

    try:
        cases = read_cases(folder)
    except EdgeFlowError as error:
        raise BurstError(str(error)) from None
    held_out = validation_names([case.name for case in cases])
    cases = [case for case in cases if case.name not in held_out]
    chosen = sorted(np.random.default_rng(0).permutation(len(cases))[:most])
    name = f"data/{number}/{folder.name}"
    if (folder / "dataset.json").exists():
        yield f"{name}/dataset.json", folder / "dataset.json"
    for case in (cases[n] for n in chosen):
        for part, array in (("imagesTr", coarse(case)), ("labelsTr", case.labels)):
            if part == "imagesTr" or case.labels.any():
                picture = nib.nifti1.Nifti1Image(array, np.diag([*case.spacing, 1.0]))
                # The archive is compressed as a whole, and better: the file is only wrapped as the reader wants it.
                yield f"{name}/{part}/{case.name}.nii.gz", _stored(picture.to_bytes())


def _stored(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=0, mtime=0)


def coarse(case: Case) -> NDArray[np.generic]:
    """A case's values in steps far below their noise, which halves what has to be carried; 8 bits stay as they are."""
    import numpy as np

    if case.image.dtype == np.uint8:
        return case.image
    values = case.image.astype(np.float32)
    if case.hounsfield:
        return np.asarray(np.clip(np.round(values / HU_STEP) * HU_STEP, -1024, 1600), np.int16)
    levels = np.round((values - case.window.low) / (case.window.high - case.window.low) * MR_LEVELS)
    return np.asarray(np.clip(levels, -MR_LEVELS // 4, MR_LEVELS * 3 // 2), np.int16)


# --- there ------------------------------------------------------------------------------------------------------------


def unpack(part: Path, work: Path) -> None:
    """Unpack a part beside those that came before."""
    work.mkdir(parents=True, exist_ok=True)
    archives = sorted(part.glob("*.tar.xz"))
    # One process each: xz unpacks some megabytes a second on one core.
    running = [subprocess.Popen([sys.executable, "-m", "tarfile", "-e", str(path), str(work)]) for path in archives]
    wheels = [str(path) for path in sorted(part.glob("*.whl"))]
    if wheels:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(work / "site")]
        running.append(subprocess.Popen([*pip, *wheels]))
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise BurstError(f"A file of {part} could not be unpacked; carry it again.")


def train(work: Path, out: Path, seconds: float, budget: float | None = None) -> int:
    """Train the runs side by side for so many seconds, and leave in ``out`` what is to be brought back.

    Args:
        work: Where the parts were unpacked.
        out: Gets each run's log, and its averaged weights in half precision in pieces of 15 MB.
        seconds: When a run that has not ended is asked to save and end.
        budget: Training time of the whole run, if it goes on in a later call; by default what fits into this one.

    Returns:
        0, or the exit status of a run that failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + seconds
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(work.resolve()), str((work / "site").resolve())]),
        PYTHONUNBUFFERED="1",
        OMP_NUM_THREADS="1",
    )
    running = {}
    for run in sorted(path.parent for path in work.glob("runs/*/config.json")):
        config = json.loads((run / "config.json").read_text("utf-8"))
        config["budget_seconds"] = budget or max(1.0, seconds - START_UP)
        (run / "config.json").write_text(json.dumps(config), "utf-8")
        given = run.relative_to(work)
        module = ["-W", "ignore", "-m", "edgeflow_med.training.loop", str(given / "config.json"), str(given)]
        with (out / f"{run.name}.log").open("wb") as log:
            running[run] = subprocess.Popen(
                [sys.executable, *module], cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
    failed = 0
    for run, process in running.items():
        try:
            status = process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
            status = 0  # out of time is no failure
        if status:
            failed = status
        print(f"{run.name}: exit status {status}")
        print("\n".join((out / f"{run.name}.log").read_text("utf-8", "replace").splitlines()[-3:]), flush=True)
        for name in ("log.jsonl", "asked.json", "notes.md"):
            if (run / name).exists():
                shutil.copy2(run / name, out / f"{run.name}.{name}")
        if (run / "checkpoint.pt").exists():
            slim = [sys.executable, str(Path(__file__).resolve()), "slim", str(run / "checkpoint.pt"), str(out)]
            subprocess.run([*slim, run.name], env=environment, check=True)
    return failed


def slim(checkpoint: Path, out: Path, name: str) -> None:
    """What a model is made of, in half precision and in pieces; the optimiser stays."""
    import torch

    from edgeflow_med.training.checkpoints import read_checkpoint
    from edgeflow_med.training.export import to_half

    state = read_checkpoint(checkpoint)
    buffer = io.BytesIO()
    torch.save(
        {"average": to_half(state["average"]), **{key: state[key] for key in ("step", "seconds", "config")}}, buffer
    )
    content = buffer.getvalue()
    for n in range(0, len(content), PIECE):
        (out / f"{name}.pt.{n // PIECE:02d}").write_bytes(content[n : n + PIECE])


# --- here, after ------------------------------------------------------------------------------------------------------


def collect(out: Path, runs: Path) -> list[Path]:
    """Make run folders of what came back: ``checkpoint.pt`` with the paths of this machine, and ``log.jsonl``.

    Raises:
        BurstError: Nothing came back.
    """
    import torch

    found = []
    for first in sorted(out.glob("*.pt.00")):
        name = first.name.removesuffix(".pt.00")
        content = b"".join(path.read_bytes() for path in sorted(out.glob(f"{name}.pt.[0-9][0-9]")))
        state = torch.load(io.BytesIO(content), weights_only=True)
        asked = json.loads((out / f"{name}.asked.json").read_text("utf-8"))
        here = {key: asked[key] for key in ("datasets", "pseudo", "start") if key in asked}
        state["config"] = json.dumps(json.loads(state["config"]) | here)
        folder = runs / name
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / "checkpoint.pt")
        for part in ("log.jsonl", "notes.md"):
            if (out / f"{name}.{part}").exists():
                shutil.copy(out / f"{name}.{part}", folder / part)
        found.append(folder)
    if not found:
        raise BurstError(f"No run came back in {out}; give the folder that `train` wrote to.")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    here = verbs.add_parser("pack")
    here.add_argument("configs", type=Path, nargs="+", metavar="CONFIG.json")
    here.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    here.add_argument("--megabytes", type=float, default=60, metavar="N", help="largest part")
    here.add_argument("--wheels", type=Path, metavar="FOLDER", help="what the other machine lacks")
    here.add_argument("--most", type=int, metavar="N", help="cases of a data set [all]")
    opened = verbs.add_parser("unpack")
    opened.add_argument("part", type=Path)
    opened.add_argument("work", type=Path)
    there = verbs.add_parser("train")
    there.add_argument("work", type=Path)
    there.add_argument("out", type=Path)
    there.add_argument("--seconds", type=float, required=True, metavar="N", help="when a run is asked to save and end")
    there.add_argument("--budget", type=float, metavar="N", help="training time of the whole run [seconds - 40]")
    smaller = verbs.add_parser("slim")
    smaller.add_argument("checkpoint", type=Path)
    smaller.add_argument("out", type=Path)
    smaller.add_argument("name")
    back = verbs.add_parser("collect")
    back.add_argument("out", type=Path)
    back.add_argument("runs", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.verb == "pack":
            for part in pack(given.configs, given.output, given.megabytes, given.wheels, given.most):
                print(f"{part}: {sum(p.stat().st_size for p in part.iterdir()) / MEGABYTE:.1f} MB")
        elif given.verb == "unpack":
            unpack(given.part, given.work)
        elif given.verb == "train":
            return train(given.work, given.out, given.seconds, given.budget)
        elif given.verb == "slim":
            slim(given.checkpoint, given.out, given.name)
        else:
            print(*collect(given.out, given.runs), sep="\n")
    except (BurstError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
