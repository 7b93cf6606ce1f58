"""A small phantom, and what is done to its instances to make them odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset

from tests.phantoms import Edit, Phantom, write_series

SMALL = Phantom(shape=(6, 34, 40))


def unsigned(dataset: Dataset, _: int) -> None:
    dataset.PixelData = (np.frombuffer(dataset.PixelData, np.int16) + 1024).astype(np.uint16).tobytes()
    dataset.PixelRepresentation, dataset.RescaleIntercept = 0, -1024


def slope_of_its_own(dataset: Dataset, k: int) -> None:
    values = np.frombuffer(dataset.PixelData, np.int16)
    dataset.RescaleSlope = 0.05 + 0.01 * k
    dataset.PixelData = np.round(values / dataset.RescaleSlope).astype(np.int16).tobytes()
    dataset.Modality = "PT"


def drop(*keywords: str) -> Edit:
    def edit(dataset: Dataset, _: int) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return edit


def put(**values: object) -> Edit:
    def edit(dataset: Dataset, _: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def compressed(syntax: str) -> Edit:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.compress(syntax, generate_instance_uid=False)

    return edit


def encoded(syntax: str) -> Edit:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax

    return edit


def two_series(folder: Path) -> None:
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.3"))
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.4"), prefix="z")
