"""Reading in a child process, so that no file from outside can take the session down.

Decoders crash, panic, loop and swallow memory on broken files: a 400 KB file of nested sequences ends a process inside
GDCM, and 2 MB of deflated zeros ask for 2 GB. So the parent starts an interpreter with a limit on memory and time and
hands it one JSON request; the child answers with one line of JSON and then raw voxels. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgeflow_med import errors
from edgeflow_med.errors import EdgeFlowError, ReadError
from edgeflow_med.io import local
from edgeflow_med.io.detached import HEADERS, data_file
from edgeflow_med.io.info import SeriesInfo
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.volume import Volume

# What the child may take: bytes of memory and seconds of the processor, each growing with the size of the input and,
# for segments, with that of the grid that they lie on. On a busy machine it takes several times as long by the clock.
BASE_MEMORY, MEMORY_FACTOR, MEMORY_PER_VOXEL = 2 * 2**30, 20, 64
BASE_SECONDS, SECONDS_PER_BYTE, SECONDS_PER_VOXEL = 20.0, 1e-6, 1e-7
PATIENCE = 3
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None  # what a process ends with then
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edgeflow_med.io.child import serve; serve()"


def read_volume(
    paths: Sequence[Path], *, series: str | None = None, modality: str | None = None, allow_gaps: bool = False
) -> Volume:
    """`local.read_volume` in a child."""
    options = {"series": series, "modality": modality, "allow_gaps": allow_gaps}
    answer = _ask(paths, {"verb": "volume", "options": options})
    from edgeflow_med.io.dicom.transport import unpack_headers

    arguments = {key: answer.words[key] for key in ("modality", "name")}
    headers = unpack_headers(answer.blobs[1:], answer.words["encodings"]) if answer.words["encodings"] else ()
    return Volume(
        array=np.frombuffer(answer.blobs[0], answer.words["dtype"]).reshape(answer.words["shape"]),
        affine=np.array(answer.words["affine"]),
        headers=headers,
        warnings=tuple(answer.words["warnings"]),
        **arguments,
    )


def list_series(paths: Sequence[Path]) -> list[SeriesInfo]:
    """`local.list_series` in a child."""
    return [SeriesInfo.from_json(info) for info in _ask(paths, {"verb": "list"}).words["series"]]


def read_segmentation(paths: Sequence[Path], volume: Volume) -> Segmentation:
    """`local.read_segmentation` in a child."""
    frame_of_reference = volume.headers[0].get("FrameOfReferenceUID") if volume.headers else None
    grid = {"affine": volume.affine.tolist(), "shape": volume.shape, "frame_of_reference": frame_of_reference}
    size = int(np.prod(volume.shape))
    answer = _ask(paths, {"verb": "segmentation", "grid": grid}, size)
    masks = (
        np.unpackbits(np.frombuffer(blob, np.uint8), count=size).reshape(volume.shape).astype(np.bool_)
        for blob in answer.blobs
    )
    segments = tuple(_segment_from(words) for words in answer.words["segments"])
    return Segmentation(volume, segments, tuple(masks), warnings=tuple(answer.words["warnings"]))


def identify(paths: Sequence[Path]) -> list[dict[str, str]]:
    """`local.identify` in a child."""
    return _ask(paths, {"verb": "identify"}).words["found"]


def differences(first: Path, second: Path) -> list[str]:
    """`local.differences` in a child."""
    return _ask([first, second], {"verb": "differences"}).words["found"]


Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Answer:
    """What a child says: words as JSON, and blocks of bytes."""

    words: dict[str, Any]
    blobs: Sequence[Buffer] = ()


def _ask(paths: Sequence[Path], request: dict[str, Any], voxels: int = 0) -> Answer:
    """Start a child, send a request, and receive its answer or raise its error.

    ``voxels`` are those of a grid of ours, on which the answer will lie.
    """
    size = _size(paths)
    memory = BASE_MEMORY + MEMORY_FACTOR * size + MEMORY_PER_VOXEL * voxels
    seconds = BASE_SECONDS + SECONDS_PER_BYTE * size + SECONDS_PER_VOXEL * voxels
    request |= {"paths": [str(path) for path in paths], "memory": memory, "seconds": seconds}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(PATIENCE * seconds, process.kill)
        timer.start()
        try:
            with process.stdin as pipe:
                pipe.write(json.dumps(request).encode())
            answer = _receive(process.stdout)
        except (BrokenPipeError, EOFError, ValueError):
            answer = None
        finally:
            late = not timer.is_alive()
            timer.cancel()
            process.kill()
    name = paths[0].name
    if answer is None:
        late |= process.returncode == _OUT_OF_TIME
        reason = f"took longer than {seconds:.0f} s" if late else "crashed its reader"
        raise ReadError(f"{name} {reason}; it is broken, or made to do harm. Nothing was read.")
    if "error" in answer.words:
        raise getattr(errors, answer.words["error"])(answer.words["message"])
    return answer


def _receive(stream: IO[bytes]) -> Answer:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    words = json.loads(line)
    blobs = []
    for size in words.pop("sizes"):
        blob = bytearray(size)
        view = memoryview(blob)
        while view.nbytes:
            count = stream.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            view = view[count:]
        blobs.append(blob)
    return Answer(words, blobs)


def _size(paths: Sequence[Path]) -> int:
    """Bytes of all files, for the limits; what cannot be looked at is left to the reader's own error."""
    total = 0
    for path in paths:
        place = path.parent if path.name.upper() == "DICOMDIR" else path
        files = place.rglob("*") if place.is_dir() else {place, *_voxels_beside(place)}
        for file in files:
            with contextlib.suppress(OSError):
                total += file.stat().st_size
    return total


def _voxels_beside(path: Path) -> list[Path]:
    if path.suffix.lower() not in HEADERS:
        return []
    with contextlib.suppress(ReadError, OSError):
        return [data_file(path)]
    return []


def serve() -> None:
    """The child: one request from standard input, one answer to standard output."""
    request = json.loads(sys.stdin.buffer.read())
    limit_memory(request["memory"])
    limit_time(request["seconds"])
    with private_output() as output:
        answer = answer_to(request)
        line = json.dumps({**answer.words, "sizes": [len(blob) for blob in answer.blobs]})
        output.write(line.encode() + b"\n")
        for blob in answer.blobs:
            output.write(blob)


@contextlib.contextmanager
def private_output() -> Iterator[IO[bytes]]:
    """Standard output for our answers alone: what decoders print goes to standard error."""
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        yield output


def answer_to(request: dict[str, Any]) -> Answer:
    """What a request comes to; an error that has a name is an answer too."""
    try:
        return _VERBS[request["verb"]]([Path(path) for path in request["paths"]], request)
    except EdgeFlowError as error:
        return Answer({"error": type(error).__name__, "message": " ".join(str(error).split())})
    except MemoryError:
        limit = f"{request['memory'] / 2**30:.1f} GB"
        message = (
            f"{Path(request['paths'][0]).name} asks for more than {limit} of memory; it is broken, or made to do harm."
        )
        return Answer({"error": "ReadError", "message": message})


def _serve_volume(paths: list[Path], request: dict[str, Any]) -> Answer:
    from edgeflow_med.io.dicom.transport import pack_headers

    volume = local.read_volume(paths, **request["options"])
    headers, encodings, notes = pack_headers(volume.headers) if volume.headers else ([], [], ())
    words = {
        "modality": volume.modality,
        "name": volume.name,
        "affine": volume.affine.tolist(),
        "shape": volume.shape,
        "dtype": volume.array.dtype.str,
        "warnings": (*volume.warnings, *notes),
        "encodings": encodings,
    }
    return Answer(words, [np.ascontiguousarray(volume.array).data.cast("B"), *headers])


def _serve_list(paths: list[Path], _: dict[str, Any]) -> Answer:
    return Answer({"series": [info.to_json() for info in local.list_series(paths)]})


def _serve_segmentation(paths: list[Path], request: dict[str, Any]) -> Answer:
    from pydicom import Dataset

    grid, header = request["grid"], Dataset()
    header.FrameOfReferenceUID = grid["frame_of_reference"]
    stand_in = np.broadcast_to(np.uint8(0), grid["shape"])
    volume = Volume(stand_in, np.array(grid["affine"]), headers=(header,) if grid["frame_of_reference"] else ())
    found = local.read_segmentation(paths, volume)
    blobs = [np.packbits(mask).tobytes() for mask in found.masks]
    return Answer({"segments": [asdict(segment) for segment in found.segments], "warnings": found.warnings}, blobs)


_VERBS: dict[str, Callable[[list[Path], dict[str, Any]], Answer]] = {
    "volume": _serve_volume,
    "list": _serve_list,
    "segmentation": _serve_segmentation,
    "identify": lambda paths, _: Answer({"found": local.identify(paths)}),
    "differences": lambda paths, _: Answer({"found": local.differences(*paths)}),
}


def limit_memory(limit: int) -> None:
    """Let this process have so many bytes of address space and no more."""
    _limit("RLIMIT_AS", limit, limit)


def limit_time(seconds: float) -> None:
    """End this process when it has used so many seconds of the processor."""
    _limit("RLIMIT_CPU", math.ceil(seconds), math.ceil(seconds) + 1)


def _limit(name: str, *limits: int) -> None:
    """Set a soft and a hard limit, unless a lower one is set already, which nobody may raise."""
    try:
        import resource
    except ImportError:
        return  # Windows: the parent's patience remains
    kind = getattr(resource, name)
    given = [most if most != resource.RLIM_INFINITY else limits[1] for most in resource.getrlimit(kind)]
    resource.setrlimit(kind, (min(limits[0], *given), min(limits[1], given[1])))


def _segment_from(words: dict[str, Any]) -> Segment:
    words["category"], words["type"] = Code(**words["category"]), Code(**words["type"])
    words["region"] = Code(**words["region"]) if words["region"] else None
    words["algorithm_type"], words["colour"] = AlgorithmType(words["algorithm_type"]), tuple(words["colour"])
    return Segment(**words)
