"""Make `.venv` ready for `make demo` and `make test`: the package, its requirements and its test tools.

Uses the standard library alone. A torch that is already there, in `.venv` or in the Python that runs this script, is
used as it is; otherwise torch is installed from the registry that pip is set up for. A second run ends at once: a stamp
in `.venv` holds a digest of all that the installation depends on.

    python3 scripts/bootstrap.py [VENV]
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 8)
# Prints torch's version and the folder it lies in. It is imported, because a torch can be installed and broken.
ASK_TORCH = "import pathlib, torch; print(torch.__version__.split('+')[0], pathlib.Path(torch.__file__).parents[1])"


def main() -> int:
    """Bring the environment up to date; exit status 0, or 1 with one line."""
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return fail(f"Python {oldest} or newer is needed, {sys.executable} is older; try make PYTHON=python3.12")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv").absolute()
    stamp, digest = folder / "edgeflow-med.stamp", inputs_digest(folder)
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return 0
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        if not python.exists():
            print(f"Creating {folder}", flush=True)
            venv.create(folder, with_pip=True)
        version, borrowed = settle_torch(python)
        install(python, version, borrowed=borrowed)
    except subprocess.CalledProcessError as error:
        return fail(f"Setting up {folder} failed with status {error.returncode}; the lines above say why")
    except OSError as error:
        return fail(
            f"Setting up {folder} failed: {error}; on Debian and Ubuntu the package python3-venv may be missing"
        )
    stamp.write_text(digest, "utf-8")
    return 0


def fail(line: str) -> int:
    """Print one line to standard error; the exit status to go with it."""
    print(line, file=sys.stderr)
    return 1


def inputs_digest(folder: Path) -> str:
    """Digest of everything that decides what ends up in the environment."""
    digest = hashlib.sha256(f"{folder} {ROOT} {sys.version}".encode())
    for name in ("pyproject.toml", "constraints.txt", "scripts/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def settle_torch(python: Path) -> tuple[str, bool]:
    """Find a torch that is recent enough; tell its version (empty if there is none) and whether it is borrowed.

    It is borrowed from the interpreter that runs this script: a path file makes that interpreter's packages importable
    after the environment's own. This also works where that interpreter has a conda or virtual environment of its own.
    """
    version, _ = find_torch(python)
    if version:
        return version, False
    version, folder = find_torch(Path(sys.executable))
    if not version:
        return "", False
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    (packages / "borrowed_torch.pth").write_text(folder + "\n", "utf-8")
    print(f"Using torch {version} of {sys.executable}", flush=True)
    return version, True


def find_torch(python: Path) -> tuple[str, str]:
    """Version and folder of an interpreter's torch; two empty strings if none works and is recent enough."""
    answer = subprocess.run(
        [python, "-c", ASK_TORCH], capture_output=True, text=True, check=False, cwd=ROOT / "scripts"
    )
    version, _, folder = answer.stdout.strip().partition(" ")
    if answer.returncode or tuple(int(part) for part in version.split(".")[:2]) < OLDEST_TORCH:
        return "", ""
    return version, folder


def install(python: Path, torch_version: str, *, borrowed: bool) -> None:
    """Install the package with its test tools, at the tested versions; a torch that is there stays.

    Test tools that are borrowed along with torch are installed once more, because their programs lie elsewhere.
    """
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if torch_version:
        lines = [line for line in lines if not line.startswith("torch==")] + [f"torch=={torch_version}"]
    constraints = python.parents[1] / "edgeflow-med.constraints.txt"
    constraints.write_text("\n".join(lines) + "\n", "utf-8")
    print("Installing the package and its requirements" + ("" if torch_version else ", torch among them"), flush=True)
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(constraints),
    ]
    subprocess.run([*pip, "--editable", f"{ROOT}[test]"], check=True)
    if borrowed:
        import tomllib  # not at the top: an older Python must come as far as the line that says so

        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        subprocess.run([*pip, "--ignore-installed", "--no-deps", *project["optional-dependencies"]["test"]], check=True)


if __name__ == "__main__":
    sys.exit(main())
