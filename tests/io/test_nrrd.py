"""NRRD and MHA images, and Slicer segmentations: names, codes and layers, judged by slicer-core where installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK

from edgeflow_med.errors import GeometryError, ReadError, WriteError
from edgeflow_med.io import nrrd as nrrd_writer
from edgeflow_med.io import save
from edgeflow_med.io.nrrd import terminology
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.io.test_orientations import to_itk
from tests.phantoms import Phantom, ellipsoid, is_true, one_segment, write_series

PHANTOM = Phantom()
SLICER = """
import json, sys
import numpy as np
import slicer_core
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import mutable
scene, node = slicer_core.vtkMRMLScene(), slicer_core.vtkMRMLSegmentationNode()
storage = slicer_core.vtkMRMLSegmentationStorageNode()
scene.AddNode(node), scene.AddNode(storage)
storage.SetFileName(sys.argv[1])
assert storage.ReadData(node)
segments = []
for number in range(node.GetSegmentation().GetNumberOfSegments()):
    segment = node.GetSegmentation().GetNthSegment(number)
    image = segment.GetRepresentation("Binary labelmap")
    x0, _, y0, _, z0, _ = image.GetExtent()
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    entry = mutable("")
    segment.GetTag("TerminologyEntry", entry)
    voxels = (np.argwhere(values == segment.GetLabelValue()) + (z0, y0, x0)).tolist()
    segments.append({"name": segment.GetName(), "colour": segment.GetColor(), "entry": str(entry), "voxels": voxels})
print("RESULT" + json.dumps(segments))
"""


def three(volume: Volume) -> Segmentation:
    """Three segments, of which the second overlaps the first."""
    mask = ellipsoid(PHANTOM)
    segments = (
        Segment(1, "Läsion 腫瘍", algorithm_name="EdgeFlow", algorithm_version="1", tracking_uid="1.2.3"),
        Segment(
            2, "Leber ~ | ^", Code("123037004", "SCT", "Organ"), Code("10200004", "SCT", "Liver"), colour=(10, 20, 30)
        ),
        Segment(3, "Painted", algorithm_type=AlgorithmType.MANUAL),
    )
    return Segmentation(volume, segments, (mask, np.roll(mask, 3, axis=2), np.roll(mask, -22, axis=2) & ~mask))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nhdr", ".mhd"])
def test_images_are_read_with_their_positions(suffix: str, packed: bool, tmp_path: Path) -> None:
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / f"image{suffix}"), useCompression=packed)
    volume = read_volume(tmp_path / f"image{suffix}", modality="CT")
    assert is_true(volume)
    assert (volume.modality, volume.name) == ("CT", "image")
    np.testing.assert_allclose(volume.affine, PHANTOM.affine, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.95])
def test_truncated_images_are_refused(suffix: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ReadError, match=f"Cannot read image{suffix}") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


def test_a_header_that_points_to_another_file_is_not_followed(tmp_path: Path) -> None:
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / "image.nhdr"))
    (tmp_path / "image.nhdr").rename(tmp_path / "image.nrrd")
    with pytest.raises(ReadError, match="keeps its voxels in another file"):
        read_volume(tmp_path / "image.nrrd")
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / "image.mhd"))
    (tmp_path / "image.mhd").rename(tmp_path / "image.mha")
    with pytest.raises(ReadError, match="keeps its voxels in another file"):
        read_volume(tmp_path / "image.mha")


@pytest.mark.parametrize(
    ("suffix", "old", "new"),
    [
        (".mha", "ElementDataFile = ", "ElementDataFile: "),
        (".mha", "ElementDataFile = ", "ElementDataFile="),
        (".mha", "ElementDataFile = ", " ElementDataFile\t=\t"),
        (".nrrd", "data file: ", "datafile: "),
        (".nrrd", "data file: ", "DATA FILE: "),
        (".nrrd", "data file: ", "x:=1\rdata file: "),
    ],
)
def test_no_spelling_of_another_file_that_itk_follows_escapes(suffix: str, old: str, new: str, tmp_path: Path) -> None:
    header = tmp_path / ("image.mhd" if suffix == ".mha" else "image.nhdr")
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(header))
    header.write_text(header.read_text().replace(old, new), newline="")
    path = header.rename(tmp_path / f"image{suffix}")
    SimpleITK.ReadImage(str(path))
    with pytest.raises(ReadError, match="keeps its voxels in another file"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_the_name_says_what_a_file_is_not_its_content(suffix: str, tmp_path: Path) -> None:
    write_series(tmp_path / "in", replace(PHANTOM, shape=(1, 40, 56)))[0].rename(tmp_path / f"slice{suffix}")
    with pytest.raises(ReadError, match=f"Cannot read slice{suffix}"):
        read_volume(tmp_path / f"slice{suffix}")


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.raw", "outside its folder; it is not followed"),
        ("/etc/passwd", "outside its folder; it is not followed"),
        ("..\\secret.raw", "outside its folder; it is not followed"),
        ("deep/image.raw", "outside its folder; it is not followed"),
        ("absent.raw", r"keeps its voxels in absent\.raw, which is not there"),
        ("LIST", "keeps its voxels in several files"),
        ("slice%03d.raw 1 12 1", "keeps its voxels in several files"),
        ("", "outside its folder; it is not followed"),
    ],
)
def test_a_header_leads_to_one_file_beside_it_and_nowhere_else(
    suffix: str, name: str, reason: str, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(folder / f"image{suffix}"))
    (folder / "image.raw").rename(tmp_path / "secret.raw")
    header = folder / f"image{suffix}"
    header.write_text(header.read_text().replace("image.raw", name))
    with pytest.raises(ReadError, match=reason) as caught:
        read_volume(header)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_with_too_few_voxels_beside_it_is_refused(suffix: str, tmp_path: Path) -> None:
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / f"image{suffix}"))
    raw = tmp_path / "image.raw"
    raw.write_bytes(raw.read_bytes()[:-100])
    with pytest.raises(ReadError, match=f"Cannot read image{suffix}"):
        read_volume(tmp_path / f"image{suffix}")
    header = tmp_path / f"image{suffix}"
    lines = header.read_text().splitlines(keepends=True)
    header.write_text("".join(line for line in lines if "ile" not in line.split(":")[0].split("=")[0]))
    with pytest.raises(ReadError, match="names no file with its voxels"):
        read_volume(header)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("size", ["1200", "120000", "12000000"])
def test_a_size_that_lies_is_refused_before_memory_is_asked_for(suffix: str, size: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(path))
    path.write_bytes(path.read_bytes().replace(b"56 40 12\n", f"56 {size} {size}\n".encode()))
    with pytest.raises(ReadError, match=r"bytes cannot hold them|voxels, more than|Cannot read") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "axes"),
    [("right-anterior-superior", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1)), ("RAS", (-1, -1, 1))],
)
def test_other_spaces_of_the_patient_become_lps(space: str, axes: tuple[int, ...], tmp_path: Path) -> None:
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / "x.nrrd"))
    content = (tmp_path / "x.nrrd").read_bytes()
    (tmp_path / "x.nrrd").write_bytes(content.replace(b"left-posterior-superior", space.encode()))
    volume = read_volume(tmp_path / "x.nrrd")
    np.testing.assert_allclose(volume.affine, np.diag([*axes, 1]) @ PHANTOM.affine, atol=1e-6)
    assert volume.warnings == ()


@pytest.mark.parametrize("space", [b"space: scanner-xyz", b"space: 3D-right-handed", b"space dimension: 3"])
def test_a_space_that_is_not_the_patients_is_told(space: bytes, tmp_path: Path) -> None:
    SimpleITK.WriteImage(to_itk(PHANTOM.volume()), str(tmp_path / "x.nrrd"))
    content = (tmp_path / "x.nrrd").read_bytes()
    (tmp_path / "x.nrrd").write_bytes(content.replace(b"space: left-posterior-superior", space))
    volume = read_volume(tmp_path / "x.nrrd")
    assert is_true(volume)
    assert "taken for LPS" in " ".join(volume.warnings)


@pytest.mark.parametrize(
    "geometry",
    [
        "space: LPS\nspace units: {0} {0} {0}\nspace directions: (0.75,0,0) (0,1.5,0) (0,0,2.5)",
        "spacings: 0.75 1.5 2.5\nunits: {0} {0} {0}",
    ],
)
def test_nrrd_in_other_units_than_mm_is_refused(geometry: str, tmp_path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\n"
    for unit in ("mm", "cm"):
        content = header + geometry.format(f'"{unit}"') + "\n\n"
        (tmp_path / f"{unit}.nrrd").write_bytes(content.encode() + bytes(48))
    assert read_volume(tmp_path / "mm.nrrd").spacing == (2.5, 1.5, 0.75)
    with pytest.raises(ReadError, match=r"cm\.nrrd measures in other units than mm"):
        read_volume(tmp_path / "cm.nrrd")


def test_colour_images_are_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "colour.nrrd"))
    with pytest.raises(ReadError, match="holds 3 values per voxel"):
        read_volume(tmp_path / "colour.nrrd")


@pytest.mark.parametrize(
    ("label", "written"), [("C:\\new", "C:\\new"), ("a:=b\n# c", "a:=b # c"), ("\x1b[31m red\0", "[31m red")]
)
def test_labels_are_kept_on_one_line_whatever_the_format_makes_of_their_letters(label, written, tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    segment = Segment(1, label, algorithm_name="a|b\nc\\n", tracking_id="t\\n|x", tracking_uid="1.2.3")
    save(Segmentation(volume, (segment,), (ellipsoid(PHANTOM),)), tmp_path / "x.seg.nrrd")
    (found,) = read_segmentation(tmp_path / "x.seg.nrrd", volume).segments
    assert (found.label, found.algorithm_name, found.tracking_id) == (written, "a b c\\n", "t\\n x")
    assert nrrd.read_header(str(tmp_path / "x.seg.nrrd"))["Segment0_Layer"] == "0"


@pytest.mark.parametrize("key", ["Segment0_Name", "Segment0_Color", "Segment1_Tags", "Segment2_LabelValue"])
def test_a_key_that_reads_back_differently_is_caught(key: str, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "three.seg.nrrd").write_bytes(b"old")
    plain = nrrd_writer._header
    monkeypatch.setattr(
        nrrd_writer, "_header", lambda segments, layers, keys: plain(segments, layers, keys | {key: "9"})
    )
    with pytest.raises(WriteError, match=f"did not read back as written: {key} differs"):
        save(three(PHANTOM.volume()), tmp_path / "three.seg.nrrd")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_values_that_no_segment_describes_are_refused(tmp_path: Path) -> None:
    """Else their voxels would be gone without a word."""
    save(three(PHANTOM.volume()), tmp_path / "three.seg.nrrd")
    content = (tmp_path / "three.seg.nrrd").read_bytes()
    (tmp_path / "lost.seg.nrrd").write_bytes(content.replace(b"Segment2_", b"Segment9_"))
    with pytest.raises(ReadError, match="label values that none of its segments describes"):
        read_segmentation(tmp_path / "lost.seg.nrrd", PHANTOM.volume())


def test_a_slicer_segmentation_keeps_names_codes_and_overlap(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    written = three(volume)
    save(written, tmp_path / "three.seg.nrrd")
    found = read_segmentation(tmp_path / "three.seg.nrrd", volume)
    assert found.segments == written.segments
    for mask, other in zip(written.masks, found.masks, strict=True):
        np.testing.assert_array_equal(mask, other)


def test_slicerio_finds_what_slicer_keeps_of_a_segment(tmp_path: Path) -> None:
    import slicerio

    volume, mask, lung = PHANTOM.volume(), ellipsoid(PHANTOM), Code("39607008", "SCT", "Lung")
    segments = (Segment(1, "Lesion", region=lung, unreviewed_slices=2), Segment(2, "Cyst", colour=(0, 255, 51)))
    save(Segmentation(volume, segments, (mask, np.roll(mask, 3, axis=2))), tmp_path / "two.seg.nrrd")
    found = slicerio.read_segmentation(str(tmp_path / "two.seg.nrrd"))
    lesion, cyst = found["segments"]
    assert [(segment["name"], segment["labelValue"], segment["layer"]) for segment in (lesion, cyst)] == [
        ("Lesion", 1, 0),
        ("Cyst", 2, 1),
    ]
    assert lesion["terminology"]["type"] == ["SCT", "52988006", "Lesion"]
    assert lesion["terminology"]["anatomicRegion"] == ["SCT", "39607008", "Lung"]
    assert (lesion["status"], cyst.get("status"), cyst["color"]) == ("inprogress", None, [0.0, 1.0, 0.2])
    np.testing.assert_array_equal(found["voxels"][0].transpose(2, 1, 0), mask)
    ijk_to_lps = found["ijkToLPS"]
    np.testing.assert_allclose(ijk_to_lps @ (5, 4, 3, 1), volume.affine @ (3, 4, 5, 1), atol=1e-9)


def python_with_slicer() -> str | None:
    """An interpreter that has 3D Slicer's libraries, if any: this one or that of the tests of the Slicer module."""
    if find_spec("slicer_core") is not None:
        return sys.executable
    beside = Path(__file__).parents[2] / ".venv-slicer"
    return next((str(path) for path in (beside / "bin/python", beside / "Scripts/python.exe") if path.exists()), None)


def test_slicer_opens_it(tmp_path: Path) -> None:
    python = python_with_slicer()
    if python is None:
        pytest.skip("slicer-core is not installed; `make test-slicer` installs it")
    volume = PHANTOM.volume()
    written = three(volume)
    save(written, tmp_path / "three.seg.nrrd")
    command = [python, "-c", SLICER, str(tmp_path / "three.seg.nrrd")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    segments = json.loads(result.stdout.split("RESULT")[1])
    assert len(segments) == 3
    for segment, mask, found in zip(written.segments, written.masks, segments, strict=True):
        assert found["name"] == segment.label
        assert found["entry"] == terminology(segment.category, segment.type)
        np.testing.assert_allclose(found["colour"], np.array(segment.colour) / 255, atol=1e-5)
        np.testing.assert_array_equal(found["voxels"], np.argwhere(mask))


def test_a_plain_label_map(tmp_path: Path) -> None:
    volume, mask = PHANTOM.volume(), ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "label.nrrd")
    image = SimpleITK.ReadImage(str(tmp_path / "label.nrrd"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), mask)
    np.testing.assert_allclose(image.GetOrigin(), PHANTOM.origin)
    with pytest.raises(WriteError, match=r"segments overlap.*give \.dcm or \.seg\.nrrd"):
        save(three(volume), tmp_path / "three.nrrd")


def test_a_sheared_grid_is_kept(tmp_path: Path) -> None:
    phantom = replace(PHANTOM, step=(0.3, 0.9, 2.2))
    volume, mask = phantom.volume(), ellipsoid(phantom)
    save(one_segment(volume, mask), tmp_path / "lesion.seg.nrrd")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.seg.nrrd", volume).masks[0], mask)


def test_a_segmentation_of_another_grid_is_refused(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.seg.nrrd")
    other = replace(PHANTOM, spacing=(2.5, 1.5, 0.76)).volume()
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(tmp_path / "lesion.seg.nrrd", other)
