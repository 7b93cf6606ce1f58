"""On a GPU the answers are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeflow_med.io import read_volume
from edgeflow_med.predictors import load_predictor
from edgeflow_med.predictors.base import SliceRequest, Stroke
from edgeflow_med.resources import resource
from edgeflow_med.weights import bundle_names
from edgeflow_med.windows import choose_window
from tests.region_growing import iou

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]


@pytest.mark.parametrize("model", bundle_names())
@pytest.mark.parametrize("k", [20, 23, 26])
def test_masks_are_those_of_the_cpu(model: str, k: int) -> None:
    volume = read_volume(resource("sample_data") / "sts_003_ct" / "series")
    image = choose_window(volume, None).apply(volume.array[k])
    slow, fast = (load_predictor(model, device, engine="torch") for device in ("cpu", "cuda"))
    assert fast.device.startswith("cuda")
    first = SliceRequest(image, strokes=(Stroke(((79.0, 76.0),)),))
    one, other = slow.predict(first), fast.predict(first)
    assert one.mask.any()
    assert iou(other.mask, one.mask) >= 0.999
    again = SliceRequest(image, strokes=(*first.strokes, Stroke(((60.0, 76.0),), positive=False)), previous=one)
    one, other = slow.predict(again), fast.predict(again)
    assert iou(other.mask, one.mask) >= 0.999
    np.testing.assert_allclose(other.edge, one.edge, atol=0.02)
    assert other.quality == pytest.approx(one.quality, abs=0.01)
