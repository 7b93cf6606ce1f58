"""Fuzzing guided by coverage (atheris) of what is Python in reading: our own code, pydicom and nibabel.

    python -m tests.io.guided DICOM 60 FOLDER      # reads for a minute; files that went wrong stay in FOLDER

`tests.io.fuzz` runs it for every format in a process of its own, because atheris ends the process that it runs in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PACKAGES = ["edgeflow_med.io", "edgeflow_med.prompts", "nibabel", "pydicom"]
# Modules that are loaded before the readers are, so that they are instrumented.
_MODULES = ("child", "bids", "detached", "itk", "labelmap", "nifti", "rtstruct", "dicom", "dicom_seg_read")
_RUNS = re.compile(r"Done (\d+) runs in \d+ second")


def explore(name: str, seconds: int) -> dict[str, Any]:
    """Read files of a format for a while; how many, and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="guided") as folder:
        command = [sys.executable, "-W", "ignore", "-m", "tests.io.guided", name, str(seconds), folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        ran = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=environment)
        said = ran.stderr.decode("utf-8", "replace")
        runs = _RUNS.search(said)
        wrong = [line for line in said.splitlines() if "ERROR: libFuzzer" in line or line.startswith("AssertionError")]
    return {"files": int(runs[1]) if runs else 0, "status": ran.returncode, "wrong": wrong}


def _read_forever(name: str, seconds: str, folder: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=_PACKAGES):
        import importlib

        for module in _MODULES:
            importlib.import_module(f"edgeflow_med.io.{module}")
    from tests.io import fuzz, seeds

    make, verb = seeds.FORMATS[name]
    originals, corpus = folder / "seeds", folder / "corpus"
    originals.mkdir(), corpus.mkdir()
    paths = make(originals)
    suffix = "".join(paths[0].suffixes)
    for path in paths:
        if path.name.endswith(suffix):
            (corpus / path.name).write_bytes(path.read_bytes())
    target = folder / f"read{suffix}"
    grid = {"affine": seeds.PHANTOM.affine.tolist(), "shape": seeds.PHANTOM.shape, "frame_of_reference": None}
    request = {"verb": verb, "options": {}, "grid": grid, "memory": fuzz.MEMORY, "paths": [str(target)]}

    def read(content: bytes) -> None:
        target.write_bytes(content)
        kind, message = fuzz.outcome(request)
        assert kind != "unnamed", json.dumps(message)
        assert seeds.CANARY not in message
        assert "\n" not in message

    limits = [f"-max_total_time={seconds}", f"-timeout={fuzz.SECONDS:.0f}", f"-rss_limit_mb={fuzz.MEMORY // 2**20}"]
    atheris.Setup([sys.argv[0], *limits, "-max_len=200000", f"-artifact_prefix={folder}/", str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    _read_forever(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
