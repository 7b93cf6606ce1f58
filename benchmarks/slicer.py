"""How fast the 3D Slicer module is: from mouse press to changed pixels, how long a click blocks, how memory grows.

Slicer's own scene and slice view, rendered offscreen by the CPU; a volume of 512 x 512 x 300 voxels with bright balls.
Run by `make bench-slicer`; the result goes to ``benchmarks/results/slicer.json``.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "slicer_module"))
SHAPE = (300, 512, 512)
POLL = 0.02  # seconds between two looks at the worker, as in the panel
RESULT = ROOT / "benchmarks" / "results" / "slicer.json"


def scan() -> np.ndarray:
    """Tissue with a lattice of bright balls, ``(K, J, I)`` int16 in HU, and noise."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    distance = ((k % 60) - 30) ** 2 + ((j % 64) - 32) ** 2 + ((i % 64) - 32) ** 2
    noise = np.random.default_rng(0).integers(-15, 15, SHAPE, dtype=np.int16)
    return np.where(distance < 20**2, 120, -40).astype(np.int16) + noise


class Bench:
    """A reader who clicks and watches one slice view."""

    def __init__(self, array: np.ndarray, predictor: Any) -> None:
        from tests.slicer import headless
        from tests.slicer.l1.bench import Reader

        reader = Reader(headless.volume_node(array), headless.SliceView, predictor=predictor, window="-160,240")
        self.view, self.case, self.poll, self._leave = reader.red, reader.case, reader.case.poll, reader.close

    def look_at(self, index: tuple[int, int, int]) -> None:
        """Put the view through a voxel."""
        self.view.node.JumpSlice(*self.case.scene.frame.world(index))

    def click(self, index: tuple[int, int, int]) -> dict[str, float]:
        """Seconds from press to changed pixels, and what of these the main thread worked."""
        view, case = self.view, self.case
        before = view.render()
        at, longest, worked = view.xy(case.scene.frame.world(index)), 0.0, 0.0

        def timed(work: Callable[[], object]) -> None:
            nonlocal longest, worked
            began, cpu = time.perf_counter(), time.thread_time()
            work()
            longest, worked = max(longest, time.perf_counter() - began), worked + time.thread_time() - cpu

        pressed = time.perf_counter()
        timed(lambda: view.click(at))
        while case.desk.asking:
            time.sleep(POLL)
            timed(self.poll)
        rendering = time.perf_counter()
        after = view.render()
        done = time.perf_counter()
        changed = float((before != after).any(-1).sum())
        return {
            "press_to_pixels": done - pressed,
            "longest_block": longest,
            "main_thread_cpu": worked,
            "render": done - rendering,
            "pixels": changed,
        }

    def close(self) -> None:
        """Take it out of the scene."""
        import slicer

        self._leave()
        slicer.mrmlScene.Clear(0)


class PanelBench(Bench):
    """The same in the module's panel, which has more to do for each click: tables, the bar, the measurement."""

    def __init__(self, array: np.ndarray, predictor: Any) -> None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from tests.slicer.l2 import pythonqt

        pythonqt.install()
        import slicer

        from tests.slicer import headless
        from tests.slicer.l2 import desktop
        from tests.slicer.l2.hand import show, until

        self._window = desktop.start(Path(slicer.app.temporaryPath))  # Qt does not keep it
        show(headless.volume_node(array))
        panel = desktop.load_module(self._window, ROOT / "slicer_module")
        panel.enter()
        until(lambda: panel.case is not None and not panel.worker.unfinished, 300)
        panel.timer.stop()  # what it does is done here, and timed
        panel.case.session.predictor, panel.case.session.window = predictor, "-160,240"
        self.view = slicer.app.layoutManager().sliceWidget("Red")._view  # noqa: SLF001 - the tests' own
        self.case, self.poll, self._leave = panel.case, panel._poll, panel.cleanup  # noqa: SLF001 - the timer's


def run(
    array: np.ndarray, predictor: Any, clicks: int, kind: type[Bench] = Bench
) -> tuple[dict[str, Any], list[float]]:
    """Click on balls all over the volume; medians and 95th percentiles in ms, and memory in MiB every 50 clicks."""
    bench = kind(array, predictor)
    rng = np.random.default_rng(1)
    bench.look_at((30, 256, 256))
    bench.click((30, 32 + 64 * 4, 32 + 64 * 4))  # warm-up
    gc.collect()  # what an earlier bench has left is not this one's memory
    found, memory = [], []
    for number in range(clicks):
        k = 30 + 60 * int(rng.integers(5)) + int(rng.integers(-12, 13))
        j, i = (32 + 64 * int(rng.integers(8)) + int(rng.integers(-9, 10)) for _ in range(2))
        bench.look_at((k, j, i))
        found.append(bench.click((k, j, i)))
        if number % 50 == 49:
            memory.append(resident_mib())
    bench.close()
    seen = [each for each in found if each["pixels"]]  # a second click on one ball may change nothing to be seen
    figures: dict[str, Any] = {"clicks": clicks, "clicks_that_changed_pixels": len(seen)}
    for key in ("press_to_pixels", "longest_block", "main_thread_cpu", "render"):
        values = [1000 * each[key] for each in seen]
        figures[f"{key}_ms"] = {
            "median": round(float(np.median(values)), 1),
            "p95": round(float(np.percentile(values, 95)), 1),
        }
    return figures, memory


def resident_mib() -> float:
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def forgetful() -> Any:
    """A region grower that keeps nothing of what it was asked, since memory is measured."""
    from tests.region_growing import RegionGrower

    class Grower(RegionGrower):
        def predict(self, request: Any) -> Any:
            self.squares.clear()
            return super().predict(request)

    return Grower()


def main() -> None:
    """Measure and write the result."""
    from edgeflow_med.predictors.lazy import LazyPredictor
    from tests.slicer import headless

    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True, cwd=ROOT).strip()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        headless.start(Path(folder))
        array = scan()
        model = LazyPredictor(device="cpu")
        model.warm_up()
        with_model, _ = run(array, model, int(os.environ.get("CLICKS", "30")))
        without, memory = run(array, forgetful(), int(os.environ.get("MANY_CLICKS", "500")))
        in_panel, _ = run(array, forgetful(), int(os.environ.get("CLICKS", "30")), PanelBench)
    model_name = next(line for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if "model name" in line)
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {model_name.split(':')[1].strip()}",
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "volume": "512 x 512 x 300, int16",
        "view": "one slice view of 400 x 400 pixels, rendered offscreen by the CPU",
        f"with {model.name} on {model.device}": with_model,
        "with region growing instead of the network": without,
        "with region growing, in the panel (view of 600 x 820 pixels)": in_panel,
        "memory_mib_every_50_clicks": memory,
        "memory_growth_mib_over_the_clicks": round(memory[-1] - memory[0], 1),
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
