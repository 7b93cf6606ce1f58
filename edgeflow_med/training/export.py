"""Turn a checkpoint into a model of ``weights/``: a MONAI bundle with weights, metadata, licence and model card.

python -m edgeflow_med.training.export runs/w18/checkpoint.pt weights/edgeflow_w18
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import edgeflow_med
from edgeflow_med.errors import ReadError
from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.predictors.onnx import ONNX_FILE
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.training.checkpoints import read_checkpoint
from edgeflow_med.training.model_card import (
    PSEUDO,
    DataSource,
    bundle_text,
    data_table,
    figures_text,
    headline_figures,
    model_card,
    read_reports,
    read_source,
)
from edgeflow_med.weights import MODEL_FILE, Bundle, checksum, load_network, open_bundle

RESULTS = Path("benchmarks/results")
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
REQUIRED = ("jsonschema", "nibabel", "pydicom", "safetensors", "scipy", "SimpleITK")
DESCRIPTION = (
    "EdgeFlow on {trunk}: mask and edge from an image, clicks or scribbles, and the previous mask and edge, "
    "which may be those of the neighbouring slice."
)
TRUNKS = {
    "w18": "HRNet-W18 with OCR-{ocr}",
    "lite": "HRNet-W18 with half of its blocks and half of its modules, OCR-{ocr} and slimmer fusion, edge branch and "
    "FineNet",
}
EDGEFLOW = (
    "Hao et al., EdgeFlow: Achieving Practical Interactive Segmentation with Edge-Guided Flow, ICCV workshops 2021, "
    "arXiv 2109.09406"
)
RITM = "Sofiiuk et al., Reviving Iterative Training with Mask Guidance for Interactive Segmentation, arXiv 2102.06583"
CHANNELS = ("previous mask", "previous edge", "positive prompts", "negative prompts")


def export(
    checkpoint: Path,
    folder: Path,
    policy: ZoomPolicy | None = None,
    results: Path = RESULTS,
    brakes: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle; an existing one is replaced when the new one is complete.

    Exported again from the same checkpoint the weights have the same checksum, so figures measured in between find
    their way into the model card, and the brakes and the ONNX file that were made in between stay.

    Args:
        checkpoint: Written by :class:`edgeflow_med.training.loop.Trainer`; ``log.jsonl`` is read beside it.
        folder: The bundle's folder; its name is the model's name.
        policy: How crops are chosen; None for that of the bundle that is replaced if its weights are the same, else for
            the package's own.
        results: Folder of evaluation reports; those of exactly these weights are quoted.
        brakes: When propagation stops; None for those of the bundle that is replaced if its weights are the same, else
            for the package's own.

    Raises:
        ReadError: The checkpoint cannot be read, or a data set's licence is not known.
    """
    if not checkpoint.is_file():
        raise ReadError(f"There is no checkpoint {checkpoint}; give the checkpoint.pt of a training run.")
    state = read_checkpoint(checkpoint)
    config = json.loads(state["config"])
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for part in ("configs", "docs"):
            (draft / part).mkdir(parents=True)
        save_file(to_half(state["average"]), draft / MODEL_FILE)
        (draft / MODEL_FILE).chmod(0o644)  # safetensors lets only the owner read
        sha256 = checksum(draft / MODEL_FILE)
        known = _same_weights(folder, sha256)
        policy = policy or (ZoomPolicy(**known.policy) if known else ZoomPolicy())
        content = bundle_metadata(folder.name, config["network"], policy, sha256)
        content["edgeflow"]["brakes"] = dict(brakes or {}) or (known.brakes if known else {})
        if known and (known.path / ONNX_FILE).is_file():
            shutil.copy2(known.path / ONNX_FILE, draft / ONNX_FILE)
        bundle = Bundle(folder.name, draft, content)
        reports = read_reports(results, bundle.name, bundle.version)
        sources = [read_source(Path(path)) for path in config["datasets"]]
        content["eval_metrics"] = headline_figures(reports)
        content["data_source"] = "; ".join(f"{s.name}: {s.reference} ({s.licence})" for s in sources)
        facts = network_facts(bundle) | data_facts(sources, config) | run_facts(state, config, checkpoint.parent)
        _write_texts(draft, content, config, model_card(facts | {"figures": figures_text(reports)}))
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle(folder.name, folder, content)


def _same_weights(folder: Path, sha256: str) -> Bundle | None:
    """The bundle in a folder, if it has these weights."""
    if not (folder / "configs" / "metadata.json").is_file():
        return None
    known = open_bundle(folder)
    return known if known.sha256 == sha256 else None


def to_half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolution kernels in float16; vectors and scalars, which are few and may be very small, stay as they are."""
    return {
        name: (tensor.half() if tensor.ndim == 4 else tensor).cpu().contiguous(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }


def bundle_metadata(name: str, config: Mapping[str, Any], policy: ZoomPolicy, sha256: str) -> dict[str, Any]:
    """``configs/metadata.json`` by MONAI's schema; under ``edgeflow`` what this package needs to run the model."""
    network = EdgeFlowConfig(**config)
    there = (network.previous_mask, network.previous_edge, True, True)
    kept = [channel for channel, used in zip(CHANNELS, there, strict=True) if used]
    size = [policy.size, policy.size]
    version = edgeflow_med.__version__
    return {
        "schema": SCHEMA,
        "version": version,
        "changelog": {version: "made by edgeflow_med.training.export"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {
            "edgeflow-med": version,
            **{package: metadata.version(package) for package in REQUIRED},
        },
        "name": name,
        "task": "Interactive segmentation of structures in CT and MR, slice by slice",
        "description": DESCRIPTION.format(trunk=trunk_text(network)),
        "authors": "EdgeFlow-Med contributors",
        "copyright": "Copyright 2026 EdgeFlow-Med contributors, Apache-2.0",
        "data_type": "dicom, nibabel",
        "image_classes": "one channel, windowed to [0, 1] and repeated three times with ImageNet's mean and deviation",
        "label_classes": "one channel, 1 is the structure that the prompts mean, 0 is everything else",
        "pred_classes": "one channel, 1 is the structure that the prompts mean, 0 is everything else",
        "intended_use": "Research. Not a medical device and not for clinical use.",
        "references": [EDGEFLOW, RITM],
        "network_data_format": {
            "inputs": {
                "image": _tensor("image", "magnitude", ["normalised grey, repeated"] * 3, size),
                "prompts": _tensor("image", "probabilities", kept, size, (0, 1)),
            },
            "outputs": {
                part: _tensor("image", "segmentation", [f"logits of the {part}"], size) for part in ("mask", "edge")
            },
        },
        "edgeflow": {"config": network.to_dict(), "policy": asdict(policy), "brakes": {}, "sha256": sha256},
    }


def trunk_text(config: EdgeFlowConfig) -> str:
    """What the network is built on, in words."""
    return TRUNKS[config.size].format(ocr=config.ocr_channels)


def _tensor(
    kind: str, form: str, channels: Sequence[str], size: Sequence[int], values: tuple[int, ...] = ()
) -> dict[str, Any]:
    return {
        "type": kind,
        "format": form,
        "num_channels": len(channels),
        "spatial_shape": list(size),
        "dtype": "float32",
        "value_range": list(values),
        "is_patch_data": True,
        "channel_def": {str(n): text for n, text in enumerate(channels)},
    }


def network_facts(bundle: Bundle) -> dict[str, object]:
    """What the card says of the network; loads it, so that a bundle that does not load is never made."""
    network: EdgeFlow = load_network(bundle)
    prompts = bundle.metadata["network_data_format"]["inputs"]["prompts"]["channel_def"]
    return {
        "name": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "trunk": trunk_text(network.config),
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "prompt_channels": ", ".join(prompts.values()),
        "size": bundle.policy["size"],
    }


def data_facts(sources: Sequence[DataSource], config: Mapping[str, Any]) -> dict[str, object]:
    """What the card says of the data."""
    images, held_out = sum(s.images for s in sources), sum(s.held_out for s in sources)
    pseudo = ""
    if config.get("pseudo"):
        folder = Path(config["pseudo"])
        pseudo = PSEUDO.format(folder=folder.name, count=len(list(folder.glob("*.npz"))))
    return {
        "images": images,
        "sets": len(sources),
        "held_out": held_out,
        "held_out_share": f"{held_out / images:.0%}",
        "data_table": data_table(sources),
        "pseudo": pseudo,
    }


def run_facts(state: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> dict[str, object]:
    """What the card says of the training."""
    log = folder / "log.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.is_file() else []
    lines = [line for line in lines if json.loads(line)["step"] <= state["step"]]
    last = f"Averages over the last steps that were logged before: `{lines[-1]}`.\n" if lines else ""
    return {
        "start": start_text(config["start"]),
        "seed": config["seed"],
        "steps": f"{state['step']:,}",
        "batch": config["batch"],
        "seconds": f"{state['seconds']:,.0f}",
        "rounds": config["rounds"],
        "log": last,
        "notes": notes.read_text("utf-8").strip() if (notes := folder / "notes.md").is_file() else "",
    }


def start_text(path: str | None) -> str:
    """Where the first weights came from, as their file says."""
    if path is None:
        return "It started from random weights."
    source = None
    if Path(path).is_file() and path.endswith(".safetensors"):
        with safe_open(path, "pt") as file:
            source = (file.metadata() or {}).get("source")
    return f"It started from `{Path(path).name}`" + (f": {source}." if source else ", which names no source.")


def _write_texts(folder: Path, content: Mapping[str, Any], config: Mapping[str, Any], card: str) -> None:
    config = {**config, "datasets": [_portable(path) for path in config["datasets"]]}
    for key in ("pseudo", "start"):
        config[key] = _portable(config[key]) if config.get(key) else None
    (folder / "docs" / "README.md").write_text(card, "utf-8")
    (folder / "docs" / "train_config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    (folder / "configs" / "inference.json").write_text(bundle_text("inference.json"), "utf-8")
    (folder / "LICENSE").write_text(_licence(), "utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _portable(path: str) -> str:
    """A path as it may be published: relative ones as they are, of others the name."""
    return Path(path).name if Path(path).is_absolute() else path


def _licence() -> str:
    """The text of the project's licence, from the checkout or the installed distribution."""
    beside = Path(edgeflow_med.__file__).parents[1] / "LICENSE"
    text = beside.read_text("utf-8") if beside.is_file() else None
    text = text or metadata.distribution("edgeflow-med").read_text("licenses/LICENSE")
    if not text:
        raise ReadError("The licence's text is missing from this installation; install edgeflow-med again.")
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m edgeflow_med.training.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of a training run")
    parser.add_argument("folder", type=Path, help="the bundle to write, e.g. weights/edgeflow_w18")
    parser.add_argument("--size", type=int, help="side of the network's input")
    parser.add_argument("--give-back", type=float, help="see ZoomPolicy; what is not given of the policy is as usual")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of evaluation reports")
    given = parser.parse_args(arguments)
    asked = {name: value for name in ("size", "give_back") if (value := getattr(given, name)) is not None}
    policy = ZoomPolicy(**asked) if asked else None
    bundle = export(given.checkpoint, given.folder, policy, given.results)
    print(f"{given.folder}: {bundle.name} {bundle.version}")


if __name__ == "__main__":
    main()
