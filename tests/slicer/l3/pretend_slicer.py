"""Takes Slicer's place for the tests of the runner: a window of the tests' own with the module in it, then the script.

It understands the options of Slicer's that ``test_in_slicer.py`` gives, and is run with the Python of `.venv-slicer`.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Start, load the module, run the script."""
    options = argparse.ArgumentParser()
    for flag in ("--testing", "--no-splash", "--ignore-slicerrc"):
        options.add_argument(flag, action="store_true", required=True)
    options.add_argument("--additional-module-paths", required=True)
    options.add_argument("--python-script", required=True)
    given = options.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path[:0] = [str(ROOT), given.additional_module_paths]
    from tests.slicer.l2 import pythonqt

    pythonqt.install()
    import slicer

    from tests.slicer.l2 import desktop

    window = desktop.start(Path(tempfile.mkdtemp()))
    widget = desktop.load_module(window, Path(given.additional_module_paths))

    def select(_name: str) -> None:
        widget.parent.isEntered = True
        widget.enter()

    slicer.util.selectModule = select
    slicer.util.exit = os._exit
    runpy.run_path(given.python_script, run_name="__main__")


if __name__ == "__main__":
    main()
