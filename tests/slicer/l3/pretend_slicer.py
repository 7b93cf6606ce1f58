"""Takes Slicer's place for the tests of the runner: a window of the tests' own with the module in it, then the script.

It understands the options of Slicer's that ``test_in_slicer.py`` gives, and is run with the Python of `.venv-slicer`.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
import types
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

    qt = pythonqt.install()
    import slicer

    from tests.slicer.l2 import desktop

    window = desktop.start(Path(tempfile.mkdtemp()))
    import EdgeFlow

    path = str(Path(given.additional_module_paths) / "EdgeFlow.py")
    slicer.modules.edgeflow = types.SimpleNamespace(path=path)
    EdgeFlow.EdgeFlow(types.SimpleNamespace(path=path, icon=None))
    parent = slicer.qSlicerScriptedLoadableModuleWidget()
    qt.QVBoxLayout(parent)
    parent.setMRMLScene(slicer.mrmlScene)
    slicer.modules.EdgeFlowWidget = EdgeFlow.EdgeFlowWidget(parent)
    slicer.modules.EdgeFlowWidget.setup()
    window.show_panel(parent)

    def select(_name: str) -> None:
        parent.isEntered = True
        slicer.modules.EdgeFlowWidget.enter()

    slicer.util.selectModule = select
    slicer.util.exit = os._exit
    runpy.run_path(given.python_script, run_name="__main__")


if __name__ == "__main__":
    main()
