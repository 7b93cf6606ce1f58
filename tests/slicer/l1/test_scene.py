"""The scene and the session stay alike whatever happens to either; volumes lie anywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import slicer
import vtk
from scipy.spatial.transform import Rotation

from edgeflow_med.session import SliceStatus
from tests.slicer import headless
from tests.slicer.l1.bench import Reader, ball
from tests.slicer.l1.conftest import GRID

BALL = ball() > 0
MIDDLE = (12, 30, 40)


def oblique() -> np.ndarray:
    """IJK to RAS of a grid turned by 25 degrees about two axes, 1 x 0.8 x 2 mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xz", [25, 15], degrees=True).as_matrix() @ np.diag([-1.0, -0.8, 2.0])
    matrix[:3, 3] = (20, 30, -15)
    return matrix


@pytest.mark.parametrize("aligned", [False, True])
def test_an_oblique_volume(reader: Callable[..., Reader], aligned: bool) -> None:
    """In an anatomical view the nearest index plane answers; in a view along the volume's own axes, that plane."""
    desk = reader(headless.volume_node(ball(), oblique()))
    if aligned:
        desk.red.node.RotateToVolumePlane(desk.volume)
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert desk.mask().sum() == BALL[12].sum()
    assert "axial slice 12" in desk.told[-1]
    assert desk.painted(12, 30, 43 if aligned else 40)


def test_a_volume_under_a_transform(reader: Callable[..., Reader]) -> None:
    volume = headless.volume_node(ball(), GRID)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    matrix[:3, 3] = (25, -10, 7)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    desk = reader(volume)
    np.testing.assert_allclose(desk.world(*MIDDLE), (matrix @ GRID @ [40, 30, 12, 1])[:3])
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert desk.painted(12, 33, 43)
    assert not desk.painted(12, 33, 55)

    volume.SetAndObserveTransformNodeID(None)  # moved while it is open
    desk.case.show()
    desk.look_at(*MIDDLE)
    assert desk.painted(12, 33, 43)
    desk.click(11, 30, 40)  # the view still shows slice 12: the click lands where the view is
    assert desk.node.GetTransformNodeID() is None


def test_undo_and_redo_reach_the_pixels(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.click(12, 24, 40, ctrl=True)
    second = desk.mask()
    desk.case.desk.undo()
    desk.settle()
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert desk.painted(12, 33, 43)
    desk.case.desk.undo()
    desk.settle()
    assert not desk.mask().any()
    assert not desk.painted(12, 33, 43)
    desk.case.desk.redo()
    desk.case.desk.redo()
    desk.settle()
    np.testing.assert_array_equal(desk.mask(), second)


def test_propagated_slices_look_different_until_they_are_accepted(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.case.desk.propagate_both()
    desk.settle()
    assert desk.mask().any((1, 2)).sum() >= 8
    pixels = {}
    for index in (12, 13):
        desk.look_at(index, 30, 40)
        pixels[index] = desk.red.pixel(desk.red.render(), desk.world(index, 33, 44)).astype(int)
    assert np.abs(pixels[13] - pixels[12]).max() > 20
    desk.case.desk.accept_slice()
    desk.settle()
    desk.look_at(13, 30, 40)
    accepted = desk.red.pixel(desk.red.render(), desk.world(13, 33, 44)).astype(int)
    np.testing.assert_array_equal(accepted, pixels[12])
    assert desk.case.desk.current.slices[0, 13].status is SliceStatus.ACCEPTED


def test_review_jumps_to_the_slice(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.case.desk.propagate_up()
    desk.settle()
    _, _, index = desk.case.session.next_to_review()
    desk.case.desk.next_to_review()
    assert desk.case.desk.here == index
    assert desk.red.node.GetSliceOffset() == pytest.approx(desk.world(index, 0, 0)[2])


def test_the_edge_map_is_an_overlay_and_gives_the_foreground_back(reader: Callable[..., Reader]) -> None:
    desk = reader()
    other = headless.volume_node(ball(), GRID, "PET")
    composite = desk.red.logic.GetSliceCompositeNode()
    composite.SetForegroundVolumeID(other.GetID())
    composite.SetForegroundOpacity(0.25)
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    edge = desk.case.desk.current.slices[0, 12].answer.edge
    j, i = np.unravel_index(edge.argmax(), edge.shape)
    desk.node.SetDisplayVisibility(False)
    desk.case.show_edges(True)
    assert desk.painted(12, j, i)
    assert not desk.painted(12, 30, 43)
    desk.node.SetDisplayVisibility(True)
    assert not desk.painted(12, 30, 43), "what fills the segment lies over the edges"
    assert desk.painted(12, 30, 31), "its outline"
    desk.case.show_edges(False)
    assert desk.painted(12, 30, 43)
    desk.node.SetDisplayVisibility(False)
    assert not desk.painted(12, j, i)
    assert (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()) == (other.GetID(), 0.25)


def segment_of(desk: Reader, label: str = "Lesion") -> slicer.vtkSegment:
    segmentation = desk.node.GetSegmentation()
    return segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(label))


def test_a_segment_removed_outside_is_removed_and_can_be_undone(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    segmentation = desk.node.GetSegmentation()
    segmentation.RemoveSegment(segmentation.GetNthSegmentID(0))
    desk.settle()
    assert desk.case.session.segments == ()
    desk.case.desk.undo()
    desk.settle()
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])


def test_a_segment_that_is_removed_or_undone_leaves_the_scene(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    segmentation = desk.node.GetSegmentation()
    desk.case.desk.remove_segment()
    desk.settle()
    assert segmentation.GetNumberOfSegments() == 0
    assert desk.case.session.history[-1] == "Remove Segment"
    for _ in range(3):  # the removal, the click, and that the segment was added
        desk.case.desk.undo()
        desk.settle()
    assert segmentation.GetNumberOfSegments() == 0
    for _ in range(2):
        desk.case.desk.redo()
        desk.settle()
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])


def test_name_colour_terminology_and_lock_go_both_ways(reader: Callable[..., Reader]) -> None:
    desk = reader()
    state = desk.case.desk.add_segment()
    desk.settle()
    segment = segment_of(desk)
    segment.SetName("Metastasis")
    segment.SetColor(0.2, 0.4, 0.6)
    entry = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    segment.SetTag("TerminologyEntry", entry)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(segment, logic.Completed)
    desk.settle()
    assert (state.label, state.colour, state.type.meaning, state.locked) == (
        "Metastasis",
        (51, 102, 153),
        "Liver",
        True,
    )
    for _ in range(3):
        desk.case.desk.undo()
    desk.settle()
    tag = vtk.mutable("")
    segment.GetTag("TerminologyEntry", tag)
    assert segment.GetName() == "Lesion"
    assert "Lesion" in str(tag)
    assert logic.GetSegmentStatus(segment) != logic.Completed
    assert desk.case.session.history[-1] == "Add Segment"


def test_a_name_that_the_session_refuses_is_set_back(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.case.desk.add_segment()
    desk.settle()
    segment_of(desk).SetName("x" * 65)
    desk.settle()
    assert segment_of(desk) is not None
    assert "1 to 64 characters" in desk.told[-1]


@pytest.mark.parametrize("effect", ["Paint", "Islands"])
def test_what_another_tool_does_becomes_a_step(reader: Callable[..., Reader], effect: str) -> None:
    """The Segment Editor writes through this logic; what is painted stays when the network answers anew."""
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    stroke = slicer.vtkOrientedImageData()
    stroke.SetExtent(60, 63, 50, 53, 12, 12)
    stroke.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    stroke.GetPointData().GetScalars().Fill(1)
    stroke.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(GRID))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    identifier = desk.node.GetSegmentation().GetNthSegmentID(0)
    assert logic.SetBinaryLabelmapToSegment(stroke, desk.node, identifier, logic.MODE_MERGE_MAX)
    desk.settle(effect)
    assert desk.case.session.history[-1] == effect
    assert desk.case.desk.current.mask[12, 50:54, 60:64].all()
    desk.click(12, 24, 40, ctrl=True)
    assert desk.mask()[12, 50:54, 60:64].all() == (effect == "Paint")
    assert not desk.mask()[12, 24, 40]
    for _ in range(2):
        desk.case.desk.undo()
    desk.settle()
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])


def test_what_the_session_refuses_does_not_stay_in_the_scene(reader: Callable[..., Reader]) -> None:
    """A segment that grows over another one, while the policy is to keep the others."""
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.case.desk.add_segment()
    desk.settle()
    grown = np.zeros(BALL.shape, np.uint8)
    grown[12, 20:60, 20:60] = 1
    identifier = desk.node.GetSegmentation().GetSegmentIdBySegmentName("Lesion 2")
    slicer.util.updateSegmentBinaryLabelmapFromArray(grown, desk.node, identifier, desk.volume)
    desk.settle("Threshold")
    np.testing.assert_array_equal(desk.mask("Lesion 2")[12], (grown[12] > 0) & ~BALL[12])
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])


def test_a_locked_segment_resists_other_tools(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.case.desk.toggle_lock()
    desk.settle()
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.zeros(BALL.shape, np.uint8), desk.node, desk.node.GetSegmentation().GetNthSegmentID(0), desk.volume
    )
    desk.settle("Erase")
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])


def test_segments_that_are_there_are_taken_over(reader: Callable[..., Reader]) -> None:
    volume = headless.volume_node(ball(), GRID)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    identifier = node.GetSegmentation().AddEmptySegment("", "Organ", (0.0, 1.0, 0.0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(BALL.astype(np.uint8), node, identifier, volume)
    desk = reader(volume, segmentation=node)
    (state,) = desk.case.session.segments
    assert (state.label, state.algorithm_type.value) == ("Organ", "AUTOMATIC")
    np.testing.assert_array_equal(state.mask, BALL)
    np.testing.assert_array_equal(desk.mask("Organ"), BALL)
    desk.look_at(*MIDDLE)
    desk.click(12, 30, 40, ctrl=True)
    assert not desk.mask("Organ")[12, 30, 40]


def test_two_volumes_have_two_sessions(reader: Callable[..., Reader]) -> None:
    first = reader()
    first.look_at(*MIDDLE)
    first.click(*MIDDLE)
    first.case.views.armed = False
    bigger = ball((20, 50, 50), (10, 20, 20))
    second = reader(headless.volume_node(bigger, GRID, "MR"), names=("Green",))
    second.look_at(10, 20, 20)
    second.click(10, 20, 20, view="Green")
    np.testing.assert_array_equal(first.mask()[12], BALL[12])
    np.testing.assert_array_equal(second.mask()[:, 20], bigger[:, 20] > 0)
    assert first.case.session.case_dir != second.case.session.case_dir


def test_closing_the_scene_with_a_question_out(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.red.click(desk.red.xy(desk.world(*MIDDLE)))
    assert desk.case.desk.asking
    desk.case.close()
    slicer.mrmlScene.Clear(0)
    desk.worker.stop()
    assert slicer.mrmlScene.GetNodesByClass("vtkMRMLMarkupsFiducialNode").GetNumberOfItems() == 0


def test_leaving_takes_everything_but_the_segmentation_away(reader: Callable[..., Reader]) -> None:
    volume = headless.volume_node(ball(), GRID)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)  # made when it is first asked for
    count = slicer.mrmlScene.GetNumberOfNodes()
    desk = reader(volume, names=(), segmentation=node)
    desk.case.desk.add_segment()
    desk.case.show_edges(True)
    desk.case.close()
    kinds = [slicer.mrmlScene.GetNthNode(n).GetClassName() for n in range(count, slicer.mrmlScene.GetNumberOfNodes())]
    assert set(kinds) <= {"vtkMRMLSegmentationDisplayNode"}


def test_surfaces_are_made_on_request_and_dropped_by_the_next_change(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    assert not desk.bridge.in_3d
    desk.bridge.toggle_3d()
    assert desk.bridge.in_3d
    desk.click(12, 24, 40, ctrl=True)
    assert not desk.bridge.in_3d
