"""A Paddle model written by hand: a convolution with bias, a batch norm, and one parameter of its own."""

import struct

import numpy as np
import pytest

from edgeflow_med.errors import ModelError, ReadError
from edgeflow_med.training.coarse import convert
from edgeflow_med.training.paddle import read_model


def varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def variable(name):
    return field(3, field(1, name) + field(2, field(1, 7)) + field(3, 1))


def operator(kind, **inputs):
    slots = b"".join(field(1, field(1, slot) + field(2, name)) for slot, name in inputs.items())
    return field(4, slots + field(3, kind))


def stored(array):
    description = field(1, 5) + b"".join(field(2, size) for size in array.shape)
    return struct.pack("<IQIi", 0, 0, 0, len(description)) + description + array.tobytes()


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "conv2d_9.w_0": rng.normal(size=(4, 3, 1, 1)),
        "conv2d_9.b_0": rng.normal(size=4),
        **{f"bn_1.{name}": rng.normal(size=4) for name in ("w_0", "b_0", "w_1", "w_2")},
        "scale_layer_0.w_0": np.array([0.25]),
    }
    tensors = {name: values.astype(np.float32) for name, values in tensors.items()}
    block = b"".join(variable(name) for name in tensors)
    block += operator("conv2d", Filter="conv2d_9.w_0", Input="image")
    block += operator("relu", X="x")
    block += operator("batch_norm", Scale="bn_1.w_0", Bias="bn_1.b_0", Mean="bn_1.w_1", Variance="bn_1.w_2", X="x")
    (tmp_path / "m.pdmodel").write_bytes(field(1, block))
    (tmp_path / "m.pdiparams").write_bytes(b"".join(stored(tensors[name]) for name in sorted(tensors)))
    return tmp_path / "m", tensors


def test_layers_come_in_the_order_of_the_graph(model):
    stem, tensors = model
    found = read_model(stem)
    convolution, norm = found.layers
    assert (convolution.is_convolution, norm.is_convolution) == (True, False)
    np.testing.assert_array_equal(convolution.tensors["weight"], tensors["conv2d_9.w_0"])
    np.testing.assert_array_equal(convolution.tensors["bias"], tensors["conv2d_9.b_0"])
    expected = {"weight": "w_0", "bias": "b_0", "running_mean": "w_1", "running_var": "w_2"}
    for ours, theirs in expected.items():
        np.testing.assert_array_equal(norm.tensors[ours], tensors[f"bn_1.{theirs}"])


def test_what_belongs_to_no_layer_is_kept_by_name(model):
    found = read_model(model[0])
    assert {name: values.tolist() for name, values in found.others.items()} == {"scale_layer_0.w_0": [0.25]}


def test_numbers_that_do_not_fit_the_graph_are_refused(model):
    path = model[0].with_suffix(".pdiparams")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ReadError, match="4 bytes are left over"):
        read_model(model[0])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ReadError, match="is not an exported Paddle model"):
        read_model(model[0])


def test_another_network_is_not_taken_for_ours(model):
    with pytest.raises(ModelError, match="does not hold HRNet18-OCR64"):
        convert(model[0])
