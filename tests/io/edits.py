"""A small phantom, and what is done to its instances to make them odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, JPEGLosslessSV1

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


def big_endian(dataset: Dataset, _: int) -> None:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset["PixelData"].VR = "OW"


def compress_lossless_jpeg(dataset: Dataset, frames: NDArray[np.generic], folder: Path) -> None:
    """pydicom has no encoder for lossless JPEG, so GDCM makes the streams, by a file that passes through ``folder``."""
    streams = []
    for frame in frames:
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(folder / "stream.tmp"))
        writer.Execute(SimpleITK.GetImageFromArray(frame[None]))
        stream = dcmread(folder / "stream.tmp")
        assert stream.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        streams += list(generate_frames(stream.PixelData, number_of_frames=1))
        (folder / "stream.tmp").unlink()
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1


def two_series(folder: Path) -> None:
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.3"))
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.4"), prefix="z")
