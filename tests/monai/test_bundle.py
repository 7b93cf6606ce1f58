"""MONAI's ways of running a model give, voxel for voxel, the mask of a session."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import run
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray

import edgeflow_med
from edgeflow_med import Session, load_predictor, read_volume
from edgeflow_med.errors import GeometryError, ModelError, PromptError, UsageError
from edgeflow_med.io.nifti import affine_to_nifti
from edgeflow_med.monai import EdgeFlowInferer, ReadPromptsd, ReadVolumed, WindowIntensityd, load_bundle_network
from edgeflow_med.prompts import parse_prompts
from edgeflow_med.propagation.brakes import DEFAULT
from edgeflow_med.resources import resource
from edgeflow_med.training.model_card import bundle_text
from edgeflow_med.volume import Volume
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle

CLICKS = [((1, 59, 57), True), ((1, 30, 57), False)]
DOCUMENT = {
    "version": 1,
    "segments": [
        {
            "label": "Lesion",
            "prompts": [{"type": "click", "index": list(index), "positive": positive} for index, positive in CLICKS],
        }
    ],
}


def sample_slices() -> list[Path]:
    """The files of the MR sample, from feet to head."""
    folder = resource("sample_data") / "sts_003_mr_t1" / "series"
    return sorted(
        folder.iterdir(), key=lambda path: float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])
    )


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slices through the tumour of the MR sample, as DICOM."""
    folder = tmp_path_factory.mktemp("series")
    for path in sample_slices()[19:22]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def volume(series: Path) -> Volume:
    return read_volume(series)


@pytest.fixture(scope="module")
def nifti(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as NIfTI, which does not tell the modality."""
    path = tmp_path_factory.mktemp("nifti") / "scan.nii.gz"
    nib.save(nib.Nifti1Image(volume.array.transpose(2, 1, 0), affine_to_nifti(volume.affine)), path)
    return path


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "clicks.json"
    path.write_text(json.dumps(DOCUMENT), "utf-8")
    return path


@pytest.fixture(scope="module")
def wanted(volume: Volume) -> NDArray[np.bool_]:
    """The mask of a session: prompts, then propagation."""
    session = Session(volume, load_predictor())
    segment = session.add_segment("Lesion")
    for index, positive in CLICKS:
        session.click(index, positive)
    assert [step.index for step in session.propagate(segment) if step.prediction]  # else nothing is compared
    return session.mask(segment)


@pytest.fixture(scope="module")
def bundle_root() -> Path:
    return find_bundle(DEFAULT_MODEL).path


def check(path: Path, wanted: NDArray[np.bool_], volume: Volume) -> None:
    written = nib.load(path)
    labels = np.asanyarray(written.dataobj)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels.transpose(2, 1, 0) == 1, wanted)
    assert volume.same_grid(affine_to_nifti(written.affine), volume.shape)


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_the_bundle_gives_the_mask_of_a_session(
    kind: str,
    series: Path,
    nifti: Path,
    clicks: Path,
    volume: Volume,
    wanted: NDArray[np.bool_],
    bundle_root: Path,
    tmp_path: Path,
) -> None:
    image = series if kind == "dicom" else nifti
    run(
        config_file=str(bundle_root / "configs" / "inference.json"),
        bundle_root=str(bundle_root),
        image=str(image),
        prompts=str(clicks),
        output_dir=str(tmp_path),
        modality="MR",
    )
    (path,) = tmp_path.glob("*.nii.gz")
    check(path, wanted, volume)


@pytest.mark.slow
def test_the_command_of_the_model_card(
    nifti: Path, clicks: Path, volume: Volume, wanted: NDArray[np.bool_], bundle_root: Path, tmp_path: Path
) -> None:
    options = {"image": nifti, "prompts": clicks, "output_dir": tmp_path, "bundle_root": bundle_root}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", bundle_root / "configs" / "inference.json"]
    for name, value in options.items():
        command += [f"--{name}", value]
    subprocess.run([str(part) for part in command], check=True, cwd=Path(edgeflow_med.__file__).parents[1])
    check(tmp_path / "scan_seg.nii.gz", wanted, volume)


def test_the_shipped_config_is_the_one_that_is_exported(bundle_root: Path) -> None:
    assert (bundle_root / "configs" / "inference.json").read_text("utf-8") == bundle_text("inference.json")


@pytest.fixture(scope="module")
def data(series: Path, clicks: Path) -> dict[str, object]:
    transforms = [ReadVolumed("image"), WindowIntensityd("image"), ReadPromptsd("prompts")]
    return dict(Compose(transforms)({"image": series, "prompts": clicks}))


def test_the_window_is_the_sessions_and_is_named(data: dict[str, object], volume: Volume) -> None:
    image, session = data["image"], Session(volume, load_predictor())
    assert isinstance(image, MetaTensor)
    assert image.meta["window"] == str(session.window)
    np.testing.assert_array_equal(image[0, :, :, 1].numpy().T, session.slice_image(1))


def test_a_batch_without_affines(data: dict[str, object], bundle_root: Path) -> None:
    image = data["image"]
    assert isinstance(image, MetaTensor)
    first = image.as_tensor()[:, :, :, 1:2].contiguous()
    batch = torch.stack([first, first.flip(1)])
    mirrored = json.loads(json.dumps(DOCUMENT))
    for prompt, (index, _) in zip(mirrored["segments"][0]["prompts"], CLICKS, strict=True):
        prompt["index"] = [0, index[1], image.shape[1] - 1 - index[2]]
    direct = json.loads(json.dumps(DOCUMENT))
    for prompt, (index, _) in zip(direct["segments"][0]["prompts"], CLICKS, strict=True):
        prompt["index"] = [0, index[1], index[2]]
    inferer = EdgeFlowInferer(find_bundle(DEFAULT_MODEL).policy)
    network = load_bundle_network(str(bundle_root))
    labels = inferer(batch, network, prompts=[parse_prompts(direct), parse_prompts(mirrored)])
    assert not isinstance(labels, MetaTensor)
    assert labels.shape == batch.shape
    assert labels.dtype == torch.uint8
    assert labels[0].sum() > 0
    # The network itself is not equivariant to mirrors, but its answers should be alike.
    both = (labels[0] * labels[1].flip(1)).sum()
    assert 2 * both / (labels[0].sum() + labels[1].sum()) > 0.8


def test_a_models_brakes_are_used(data: dict[str, object], bundle_root: Path) -> None:
    image, network = data["image"], load_bundle_network(str(bundle_root))
    assert isinstance(image, MetaTensor)
    timid = asdict(replace(DEFAULT, bias=-20.0))
    inferer = EdgeFlowInferer(find_bundle(DEFAULT_MODEL).policy, timid)
    labels = inferer(image[None], network, prompts=data["prompts"])  # type: ignore[arg-type]
    assert labels[0, 0].any(0).any(0).sum() == 1  # the slice with the clicks, and no other


def test_wrong_use_is_refused(data: dict[str, object], bundle_root: Path) -> None:
    network, inferer = load_bundle_network(str(bundle_root)), EdgeFlowInferer()
    image, prompts = torch.zeros(1, 1, 4, 4, 2), data["prompts"]
    with pytest.raises(UsageError, match=r"outside \[0, 1\]"):
        inferer(image - 1000, network, prompts=prompts)
    with pytest.raises(UsageError, match="1 images but 0 sets"):
        inferer(image, network)
    with pytest.raises(UsageError, match="got Identity"):
        inferer(image, torch.nn.Identity(), prompts=prompts)
    with pytest.raises(PromptError, match="outside the volume"):
        inferer(image, network, prompts=prompts)
    with pytest.raises(UsageError, match="Unknown device"):
        EdgeFlowInferer(device="abacus")
    with pytest.raises(ModelError):
        load_bundle_network(str(bundle_root.parent))


def test_a_series_with_a_missing_slice_is_refused(tmp_path: Path) -> None:
    files = sample_slices()
    for path in (*files[19:21], *files[22:24]):
        shutil.copy(path, tmp_path)
    with pytest.raises(GeometryError):
        ReadVolumed("image")({"image": tmp_path})
