"""The lazy predictor is there at once, and answers as the model behind it does."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeflow_med.errors import ModelError, UsageError
from edgeflow_med.predictors import load_predictor
from edgeflow_med.predictors.base import Predictor, SliceRequest, Stroke
from edgeflow_med.predictors.lazy import LazyPredictor
from tests.region_growing import disk, picture


def test_making_one_imports_no_torch() -> None:
    code = "from edgeflow_med.predictors.lazy import *; LazyPredictor(); import sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_answers_as_the_model_behind_it() -> None:
    lazy, model = LazyPredictor(device="cpu"), load_predictor(device="cpu")
    assert isinstance(lazy, Predictor)
    assert (lazy.name, lazy.version) == (model.name, model.version)
    request = SliceRequest(picture(disk((64, 64), (30, 30), 9)), (1.0, 1.0), (Stroke(((30.0, 30.0),)),))
    np.testing.assert_array_equal(lazy.predict(request).probability, model.predict(request).probability)
    assert lazy.warm_up() == lazy.device == model.device


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(ModelError, match="Unknown model 'nothing'"):
        LazyPredictor("nothing")
    with pytest.raises(UsageError):
        LazyPredictor(device="abacus").warm_up()
