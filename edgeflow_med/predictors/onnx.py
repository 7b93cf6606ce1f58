"""EdgeFlow on ONNX Runtime: the same answers on a CPU without torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeflow_med.errors import ModelError
from edgeflow_med.predictors.zoom import Square, SquareAnswer, ZoomPolicy, ZoomPredictor
from edgeflow_med.weights import Bundle

if TYPE_CHECKING:
    import onnxruntime

ONNX_FILE = "model.onnx"
METADATA = "edgeflow"  # key of the file's metadata: JSON with the checksum of the weights and the prompt channels kept


def onnx_file(bundle: Bundle) -> Path:
    """Where a bundle's ONNX file lies: in the bundle if it came with it, else where ``export-onnx`` puts it."""
    from platformdirs import user_cache_path

    shipped = bundle.path / ONNX_FILE
    cached = f"{bundle.name}-{bundle.sha256[:12]}.onnx"
    return shipped if shipped.is_file() else user_cache_path("edgeflow-med") / cached


class OnnxPredictor(ZoomPredictor):
    """A network as ONNX, on the CPU.

    Args:
        session: ONNX Runtime's session for a file that ``edgeflow-med export-onnx`` wrote.
        name: Model name.
        version: Version and checksum, for files.
        policy: How crops are chosen.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, name: str, version: str, policy: ZoomPolicy | None = None
    ) -> None:
        super().__init__(policy)
        self.name, self.version, self._session = name, version, session
        self._kept = _facts(session)["channels"]

    @classmethod
    def from_bundle(cls, bundle: Bundle, path: Path | None = None) -> OnnxPredictor:
        """Load a model of ``weights/``.

        Args:
            bundle: Which model.
            path: Its ONNX file; by default :func:`onnx_file`.

        Raises:
            ModelError: ONNX Runtime or the file is missing, or the file was made from other weights.
        """
        path = path or onnx_file(bundle)
        if not path.is_file():
            raise ModelError(f"Model {bundle.name!r} has no ONNX file; run `edgeflow-med export-onnx {bundle.name}`.")
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # as torch does; 0: all cores
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting must not cost a core
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            facts = _facts(session)
        except ImportError:
            raise ModelError(
                "ONNX Runtime is not installed; give `pip install onnxruntime`, or engine torch."
            ) from None
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has a class of its own for every kind of broken file
            raise ModelError(f"{path} is not a usable ONNX file ({type(error).__name__}); export it again.") from None
        if facts["sha256"] != bundle.sha256:
            raise ModelError(f"{path} was made from other weights than {bundle.name!r} has now; export it again.")
        predictor = cls(session, bundle.name, bundle.version, ZoomPolicy(**bundle.policy))
        predictor.brakes = bundle.brakes
        return predictor

    @property
    def device(self) -> str:
        """``cpu`` with the engine's name."""
        return "cpu (ONNX Runtime)"

    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        """See :meth:`ZoomPredictor.infer`."""
        prompts = np.concatenate([previous, guidance])[self._kept]
        inputs = {"image": image[None, None], "prompts": np.ascontiguousarray(prompts[None])}
        mask, edge, *quality = self._session.run(None, inputs)
        return SquareAnswer(mask[0, 0], edge[0, 0], float(quality[0][0, 0]) if quality else None)


def _facts(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What ``export-onnx`` wrote into the file: ``sha256`` of the weights, prompt ``channels`` that it takes."""
    return json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
