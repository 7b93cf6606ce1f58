"""Spoil good files of every format and read them: the session never dies, and no error is without a name.

``make fuzz`` runs it as a program. The spoilt files are read by the very code that `edgeflow_med.io.child` runs in its
process, with its limits; here one process reads many, until it dies.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import random
import select
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgeflow_med.io import child
from edgeflow_med.io.limits import MAX_VOXELS
from tests.io import seeds
from tests.io.mutate import mutate

MEMORY, SECONDS = child.BASE_MEMORY, child.BASE_SECONDS
# After so many files the process is replaced, so that what libraries leak does not look like a hungry file.
READS = 1000
# The machine may be busy with other things: seconds to start, and how much longer than its limit a read may take.
STARTING, PATIENCE = 600.0, 5
ROOT = Path(__file__).parents[2]


@dataclass
class Reader:
    """The reading process, started anew whenever it died.

    Attributes:
        deaths: How it died, and of which file, every time.
        peak_mb: The most memory that any such process held.
        longest_seconds: The most time of the processor that any file took.
    """

    deaths: list[dict[str, str]] = field(default_factory=list)
    peak_mb: float = 0.0
    longest_seconds: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _reads: int = 0

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """What came of a file: a kind and a message."""
        if self._process is None or self._reads >= READS:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.io.fuzz", "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            self._reads = 0
            self._answer(STARTING)  # it says when it is ready
        self._reads += 1
        began = time.perf_counter()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._answer(PATIENCE * SECONDS)
        if answer is None:
            self._process.kill()
            status = self._process.wait()
            self._process = None
            how = "took too long" if time.perf_counter() - began >= PATIENCE * SECONDS else f"status {status}"
            self.deaths.append({"how": how, "file": Path(request["paths"][0]).name})
            return {"kind": "death", "message": how}
        self.peak_mb = max(self.peak_mb, answer["peak_mb"])
        self.longest_seconds = max(self.longest_seconds, answer["seconds"])
        return answer

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        """A line of JSON within a time, or None."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        line = self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serve() -> None:
    """The reading process."""
    import resource

    child.limit_memory(MEMORY)
    with child.private_output() as output:
        output.write(b"{}\n")
        output.flush()
        for line in sys.stdin.buffer:
            began = time.process_time()
            kind, message = outcome(json.loads(line))
            answer = {
                "kind": kind,
                "message": message,
                "seconds": time.process_time() - began,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            output.write(json.dumps(answer).encode() + b"\n")
            output.flush()


def outcome(request: dict[str, Any]) -> tuple[str, str]:
    """What came of a file: "read", the name of the error, or "unnamed" with what escaped, and a message."""
    try:
        if request["verb"] == "prompts":
            return _read_prompts(request)
        words = child.answer_to(request).words
        return words.get("error", "read"), words.get("message", "")
    except BaseException as error:  # noqa: BLE001 - what escapes is what we are looking for
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        return "unnamed", f"{type(error).__name__}: {' '.join(str(error).split())[:120]} at {' '.join(places[-6:])}"


def _read_prompts(request: dict[str, Any]) -> tuple[str, str]:
    from edgeflow_med.errors import EdgeFlowError
    from edgeflow_med.prompts import check_prompt, read_prompts

    try:
        volume = seeds.PHANTOM.volume()
        for segment in read_prompts(request["paths"][0]).segments:
            for prompt in segment.prompts:
                check_prompt(prompt, volume, 0)
    except EdgeFlowError as error:
        return type(error).__name__, str(error)
    return "read", ""


def run(name: str, count: int, seed: int, keep: Path) -> dict[str, Any]:
    """Spoil and read ``count`` files of a format; those that the reader died of are left in ``keep``."""
    make, verb = seeds.FORMATS[name]
    chance, reader, began = random.Random(f"{name} {seed}"), Reader(), time.perf_counter()
    outcomes: collections.Counter[str] = collections.Counter()
    unnamed: list[str] = []
    spilt = long_lines = 0
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        (Path(place) / "seeds").mkdir()
        originals = {path: path.read_bytes() for path in make(Path(place) / "seeds")}
        grid = {"affine": seeds.PHANTOM.affine.tolist(), "shape": seeds.PHANTOM.shape, "frame_of_reference": None}
        request: dict[str, Any] = {"verb": verb, "options": {}, "grid": grid, "memory": MEMORY}
        for number in range(count):
            path = chance.choice(list(originals))
            spoilt = path.with_name(f"spoilt{number}{''.join(path.suffixes)}")
            spoilt.write_bytes(mutate(originals[path], list(originals.values()), chance))
            answer = reader.read(request | {"paths": [str(spoilt)]})
            outcomes[answer["kind"]] += 1
            if answer["kind"] == "unnamed":
                unnamed.append(answer["message"])
            if answer["kind"] in ("unnamed", "death"):
                keep.mkdir(parents=True, exist_ok=True)
                spoilt.rename(keep / f"{name}-{spoilt.name}")
            else:
                spilt += seeds.CANARY in answer["message"]
                long_lines += "\n" in answer["message"]
                spoilt.unlink()
        reader.close()
    return {
        "files": count,
        "outcomes": dict(outcomes.most_common()),
        "unnamed": sorted(set(unnamed)),
        "deaths": reader.deaths,
        "messages_of_several_lines": long_lines,
        "messages_with_the_patient": spilt,
        "child_peak_mb": round(reader.peak_mb),
        "longest_cpu_seconds": round(reader.longest_seconds, 2),
        "seconds": round(time.perf_counter() - began, 1),
    }


def machine() -> str:
    """Cores and kind of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores, {model or platform.processor() or platform.machine()}"


def main() -> int:
    """All formats and all bombs; 1 if anything escaped that has no name, 0 if not."""
    from tests.io.bombs import explode_all
    from tests.io.guided import explore

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", action="store_true", help="be the process that reads")
    parser.add_argument("--count", type=int, default=10_000, help="files of each format")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=list(seeds.FORMATS), action="append", help="formats; all by default")
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="where files go that the reader died of")
    parser.add_argument("--guided", type=int, default=0, help="seconds for each format to be guided by coverage after")
    parser.add_argument("--output", type=Path, help="where the figures go")
    given = parser.parse_args()
    if given.child:
        serve()
        return 0
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    document: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": machine(),
        "python": platform.python_version(),
        "seed": given.seed,
        "limits": {"child_mb": MEMORY // 2**20, "child_seconds": SECONDS, "voxels": MAX_VOXELS},
        "formats": {},
    }
    for name in given.only or seeds.FORMATS:
        document["formats"][name] = found = run(name, given.count, given.seed, given.keep)
        print(name, json.dumps(found), flush=True)
    if not given.only:
        document["bombs"] = explode_all()
        print(json.dumps(document["bombs"], indent=1))
    if given.guided and find_spec("atheris"):
        document["guided"] = {name: explore(name, given.guided) for name in given.only or seeds.FORMATS}
        print(json.dumps(document["guided"], indent=1))
    if given.output:
        given.output.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    guided = any(found["status"] for found in document.get("guided", {}).values())
    return int(guided or any(found["unnamed"] for found in document["formats"].values()))


if __name__ == "__main__":
    sys.exit(main())
