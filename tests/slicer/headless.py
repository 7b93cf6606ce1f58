"""Slicer without its window: the real scene, module logics and slice views of ``slicer-core``, rendered offscreen.

``slicer-core`` holds Slicer's MRML and VTK libraries but no application. :func:`start` adds the names of the desktop
application that the module uses; everything behind them is Slicer's own code.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",  # window and level by dragging
)
# Name in slicer.modules -> class of the module's logic.
LOGICS = {
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "colors": "vtkSlicerColorLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "texts": "vtkSlicerTextsLogic",
}
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class Application:
    """What ``slicer.app`` offers here: the application logic and a cache folder."""

    def __init__(self, folder: Path) -> None:
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetSliceLogics(vtk.vtkCollection())
        self._logic.SetTemporaryPath(str(folder))
        self.temporaryPath = str(folder)

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._logic


def start(folder: Path) -> None:
    """Give ``slicer`` a scene, an application and module logics; a second call does nothing.

    Args:
        folder: For the files that Slicer unpacks while it reads an ``.mrb``.
    """
    if hasattr(slicer, "mrmlScene"):
        return
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")  # needs no window system
    if find_spec("slicer.i18n") is None:
        sys.modules["slicer.i18n"] = types.ModuleType("slicer.i18n")
        sys.modules["slicer.i18n"].tr = lambda text: text
    vtk.vtkObject.GlobalWarningDisplayOff()  # "no X server", "default color files will not be loaded"
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    slicer.app = Application(folder)
    application = slicer.app.applicationLogic()
    application.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    slicer.modules = types.SimpleNamespace()
    for name, kind in LOGICS.items():
        logic = getattr(slicer, kind)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name.capitalize(), logic)
        setattr(slicer.modules, name, types.SimpleNamespace(logic=lambda logic=logic: logic))
    _allow_bundles(scene, application, folder)
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(application)
    for name in MANAGERS:
        factory.RegisterDisplayableManager(name)
    for name in ("vtkMRMLInteractionNode", "vtkMRMLSelectionNode"):
        if scene.GetSingletonNode("Singleton", name) is None:
            node = scene.CreateNodeByClass(name)
            node.SetSingletonTag("Singleton")
            node.UnRegister(None)
            scene.AddNode(node)
    vtk.vtkObject.GlobalWarningDisplayOn()


def _allow_bundles(scene: slicer.vtkMRMLScene, application: slicer.vtkSlicerApplicationLogic, folder: Path) -> None:
    """Set up what the scene needs to read an ``.mrb``."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    remote.SetMRMLApplicationLogic(application)
    remote.SetMRMLScene(scene)
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLApplicationLogic(application)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    slicer.app.io = (remote, manager)


class SliceView:
    """A slice view as in the desktop: slice node and logic, displayable managers, interactor style; no Qt.

    Args:
        name: ``"Red"``, ``"Green"`` or ``"Yellow"``.
        size: Width and height in pixels.
    """

    def __init__(self, name: str = "Red", size: tuple[int, int] = (400, 400)) -> None:
        scene, application = slicer.mrmlScene, slicer.app.applicationLogic()
        self.size = size
        node = scene.CreateNodeByClass("vtkMRMLSliceNode")
        node.SetName(name)
        node.SetSingletonTag(name)
        node.SetLayoutName(name)
        node.UnRegister(None)
        self.node = scene.AddNode(node)  # the one of a scene that was just read, if it has one
        self.node.SetOrientation(ORIENTATIONS[name])
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        self.logic.SetSliceNode(self.node)
        application.GetSliceLogics().AddItem(self.logic)

        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())  # does nothing; Slicer's own follows
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetInteractor(self.interactor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self.managers = factory.InstantiateDisplayableManagers(self.renderer)
        self.style.SetDisplayableManagers(self.managers)
        self.style.SetSliceLogic(self.logic)
        self._show_image()
        self.managers.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*size)

    def _show_image(self) -> None:
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def show(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Show a volume, fitted into the view."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.logic.FitSliceToAll(*self.size)

    def render(self) -> NDArray[np.uint8]:
        """What the view shows: ``(height, width, 3)``, first row at the top."""
        width, height = self.size
        connection = self.logic.GetImageDataConnection()
        if connection is not self._mapper.GetInputConnection(0, 0):
            self._mapper.SetInputConnection(connection)  # None while no volume is shown
        self.window.Render()
        pixels = vtk.vtkUnsignedCharArray()
        self.window.GetPixelData(0, 0, width - 1, height - 1, 1, pixels, 0)
        return vtk_to_numpy(pixels).reshape(height, width, 3)[::-1].copy()

    def xy(self, ras: Sequence[float]) -> tuple[int, int]:
        """Event position (from the lower left) of a world point."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        x, y = matrix.MultiplyPoint((*ras, 1.0))[:2]
        return round(x), round(y)

    def pixel(self, image: NDArray[np.uint8], ras: Sequence[float]) -> NDArray[np.uint8]:
        """The colour that a picture of this view has at a world point."""
        x, y = self.xy(ras)
        return np.asarray(image[self.size[1] - 1 - y, x])

    def event(self, name: str, at: tuple[int, int], *, ctrl: bool = False, shift: bool = False) -> None:
        """Send one mouse event, as the window system would."""
        self.interactor.SetEventInformation(*at, int(ctrl), int(shift), "\0", 0, None)
        self.interactor.InvokeEvent(name)

    def click(self, at: tuple[int, int], **modifiers: bool) -> None:
        """Move there, press and release the left button."""
        for name in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            self.event(name, at, **modifiers)

    def drag(self, path: Sequence[tuple[int, int]], **modifiers: bool) -> None:
        """Press the left button at the first point, move through all, release at the last."""
        self.event("MouseMoveEvent", path[0], **modifiers)
        self.event("LeftButtonPressEvent", path[0], **modifiers)
        for at in path[1:]:
            self.event("MouseMoveEvent", at, **modifiers)
        self.event("LeftButtonReleaseEvent", path[-1], **modifiers)

    def close(self) -> None:
        """Free the window and take the view out of the scene; a second call does nothing."""
        if self.node.GetScene() is None:
            return
        slicer.app.applicationLogic().GetSliceLogics().RemoveItem(self.logic)
        self.managers.SetMRMLDisplayableNode(None)
        self.window.Finalize()
        slicer.mrmlScene.RemoveNode(self.node)


def volume_node(
    array: NDArray[np.generic], ijk_to_ras: NDArray[np.float64] | None = None, name: str = "CT"
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a volume ``(K, J, I)`` to the scene; 1 mm voxels by default."""
    matrix = np.eye(4) if ijk_to_ras is None else ijk_to_ras
    return slicer.util.addVolumeFromArray(array, matrix, name)
