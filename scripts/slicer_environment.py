"""Make `.venv-slicer` ready for the tests of the 3D Slicer module: Slicer's own libraries (`slicer-core`) and a Qt.

It stands on `.venv`, whose packages it sees, and stays apart from it: the name `slicer` is taken by another package on
the registry, and VTK and Qt have no place beside the library. Run it with `.venv`'s Python, after `make venv`. A second
run ends at once.

    .venv/bin/python scripts/slicer_environment.py [VENV]
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Bring the environment up to date; exit status 0, or 1 with one line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv-slicer").absolute()
    base = sysconfig.get_path("purelib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted: list[str] = project["optional-dependencies"]["slicer-test"]
    stamp = folder / "edgeflow-med.stamp"
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    digest = hashlib.sha256(repr((str(folder), base, sys.version, wanted, constraints)).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return 0
    print(f"Creating {folder}: {', '.join(wanted)}", flush=True)
    try:
        venv.create(folder, clear=True, with_pip=False)
        python = next(path for path in (folder / "bin/python", folder / "Scripts/python.exe") if path.exists())
        install(python, base, wanted)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Setting up {folder} failed: {error}; the tests of the Slicer module will skip", file=sys.stderr)
        return 1
    stamp.write_text(digest, "utf-8")
    return 0


def install(python: Path, base: str, wanted: list[str]) -> None:
    """Install at the tested versions; what `.venv` has counts as installed.

    Args:
        python: The new environment's interpreter.
        base: Folder of `.venv`'s packages; its own path files are followed too.
        wanted: Requirements.
    """
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    (packages / "library.pth").write_text(f"import site; site.addsitedir({base!r})\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), *wanted], check=True)


if __name__ == "__main__":
    sys.exit(main())
