"""The upscaler that Easel ships: small, and sharper than resampling on pictures that it has never seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.core.presets import STARTER_MODELS
from pipelines.models.loading import Manner
from pipelines.models.scan import ModelLibrary
from pipelines.training.pictures import PictureSet, drawn
from pipelines.training.world.scene import Style
from pipelines.upscaling.networks import Upscaler, load_upscaler

SMALL = 48
"""Pixels; the pictures are four times as large."""


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    info = ModelLibrary([STARTER_MODELS]).upscaler("starter-x4")
    assert info.starter and info.size < 3_000_000
    return load_upscaler(info, Manner(torch.device("cpu"), torch.float32))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """dB, of levels from 0 to 1."""
    return float(-10 * np.log10(np.square(one - other).mean()))


@pytest.mark.parametrize(("style", "least"), [(Style.FLAT, 4.0), (Style.INK, 3.0)])
def test_held_out_pictures_come_back_closer_than_lanczos_brings_them(
    upscaler: Upscaler, tmp_path: Path, style: Style, least: float
) -> None:
    gains = []
    for pixels in drawn(PictureSet(78, 6, 4 * SMALL, 4 * SMALL, style, held_out=True), tmp_path).pixels:
        large = np.asarray(pixels, np.float32) / 255
        small = Image.fromarray(pixels).resize((SMALL, SMALL), Image.Resampling.BICUBIC)
        lanczos = np.asarray(small.resize((4 * SMALL, 4 * SMALL), Image.Resampling.LANCZOS), np.float32) / 255
        gains.append(psnr(upscaler(np.asarray(small, np.float32) / np.float32(255)), large) - psnr(lanczos, large))
    assert np.mean(gains) > least
