from __future__ import annotations

import numpy as np
import torch

from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.weights import find_bundle


def test_a_gpu_may_not_round_an_answer() -> None:
    predictor = TorchPredictor.from_bundle(find_bundle("edgeflow_lite"), "cpu")
    seen: list[bool] = []
    predictor.network.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    zeros = np.zeros((3, 64, 64), np.float32)
    predictor.infer(zeros[0], zeros[:2], zeros[:2])
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before
