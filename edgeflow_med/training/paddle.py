"""Read an exported Paddle model without Paddle, which is 200 MB: its layers in the order in which the graph runs them.

Two formats are read by hand. ``.pdmodel`` is a protobuf message (Paddle's ``framework.proto``: a program holds blocks,
a block holds variables and operators); ``.pdiparams`` holds the tensors one after the other, sorted by name, each as a
version (4 bytes), a list of levels of detail, a version again, a small protobuf message with type and shape, and the
numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ReadError

Array = NDArray[Any]

# Field numbers of framework.proto.
_PROGRAM_BLOCKS = 1
_BLOCK_VARIABLES, _BLOCK_OPERATORS = 3, 4
_VARIABLE_NAME, _VARIABLE_TYPE, _VARIABLE_PERSISTABLE = 1, 2, 3
_TYPE_KIND = 1
_DENSE_TENSOR = 7
_OPERATOR_INPUTS, _OPERATOR_KIND = 1, 3
_INPUT_SLOT, _INPUT_NAMES = 1, 2
_TENSOR_KIND, _TENSOR_SHAPE = 1, 2
_NUMBERS = {2: np.int32, 3: np.int64, 4: np.float16, 5: np.float32}

# Which input of an operator becomes which tensor of torch's layer of the same meaning.
_CONVOLUTION = {"Filter": "weight"}
_BATCH_NORM = {"Scale": "weight", "Bias": "bias", "Mean": "running_mean", "Variance": "running_var"}


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or batch norm: tensors by torch's names; a convolution's bias is there if it has one."""

    is_convolution: bool
    tensors: dict[str, Array]


@dataclass(frozen=True, eq=False)
class PaddleModel:
    """Layers in the order of execution, and the parameters that belong to none of them, by name."""

    layers: tuple[Layer, ...]
    others: dict[str, Array]


def read_model(stem: Path) -> PaddleModel:
    """Read ``<stem>.pdmodel`` and ``<stem>.pdiparams``.

    Raises:
        ReadError: They cannot be read or do not fit together.
    """
    try:
        graph, numbers = stem.with_suffix(".pdmodel").read_bytes(), stem.with_suffix(".pdiparams").read_bytes()
        block = next(value for number, value in _fields(graph) if number == _PROGRAM_BLOCKS)
        parameters = _parameters(block, numbers)
        layers = tuple(_layers(block, parameters))
    except (OSError, LookupError, struct.error, StopIteration, ValueError) as error:
        raise ReadError(f"{stem} is not an exported Paddle model ({error}); give the path without suffix.") from None
    return PaddleModel(layers, parameters)


def _layers(block: bytes, parameters: dict[str, Array]) -> Iterator[Layer]:
    """Convolutions and batch norms in order; what they hold is taken out of ``parameters``."""
    for number, operator in _fields(block):
        if number != _BLOCK_OPERATORS:
            continue
        kind, inputs = _operator(operator)
        if kind not in {"conv2d", "batch_norm"}:
            continue
        slots = _CONVOLUTION if kind == "conv2d" else _BATCH_NORM
        tensors = {ours: parameters.pop(inputs[theirs]) for theirs, ours in slots.items()}
        if kind == "conv2d":
            # The bias is an addition of its own in the graph; its name differs from the filter's in one letter.
            bias = parameters.pop(inputs["Filter"].removesuffix("w_0") + "b_0", None)
            tensors |= {} if bias is None else {"bias": bias}
        yield Layer(kind == "conv2d", tensors)


def _operator(message: bytes) -> tuple[str, dict[str, str]]:
    """Kind of an operator, and the first variable of each of its input slots."""
    kind = ""
    inputs: dict[str, str] = {}
    for number, value in _fields(message):
        if number == _OPERATOR_KIND:
            kind = value.decode()
        elif number == _OPERATOR_INPUTS:
            slot = list(_fields(value))
            names = [text.decode() for n, text in slot if n == _INPUT_NAMES]
            inputs |= {text.decode(): names[0] for n, text in slot if n == _INPUT_SLOT and names}
    return kind, inputs


def _parameters(block: bytes, numbers: bytes) -> dict[str, Array]:
    """All stored tensors by name."""
    names = sorted(_stored_names(block))
    tensors, at = {}, 0
    for name in names:
        at += 4
        (levels,) = struct.unpack_from("<Q", numbers, at)
        at += 8
        for _ in range(levels):
            (size,) = struct.unpack_from("<Q", numbers, at)
            at += 8 + size
        _, size = struct.unpack_from("<Ii", numbers, at)
        at += 8
        description = list(_fields(numbers[at : at + size]))
        at += size
        kind = _NUMBERS[next(value for number, value in description if number == _TENSOR_KIND)]
        shape = [value for number, value in description if number == _TENSOR_SHAPE]
        tensors[name] = np.frombuffer(numbers, kind, int(np.prod(shape, dtype=int)), at).reshape(shape)
        at += tensors[name].nbytes
    if at != len(numbers):
        raise ValueError(f"{len(numbers) - at} bytes are left over after the last tensor")
    return tensors


def _stored_names(block: bytes) -> Iterator[str]:
    for number, variable in _fields(block):
        if number != _BLOCK_VARIABLES:
            continue
        content = dict(_fields(variable))
        kind = dict(_fields(content[_VARIABLE_TYPE])).get(_TYPE_KIND)
        if content.get(_VARIABLE_PERSISTABLE) and kind == _DENSE_TENSOR:
            yield content[_VARIABLE_NAME].decode()


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message: an int, or bytes that may be a message again."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown protobuf wire type {wire}")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
