"""Community upscalers of every kind load from their files, and see no difference between a picture and its tiles."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel import MAIN_REGISTRY
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DAT import DAT
from spandrel.architectures.DITN import DITN
from spandrel.architectures.DRCT import DRCT
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.HAT import HAT
from spandrel.architectures.MoESR import MoESR
from spandrel.architectures.MoSR import MoSR
from spandrel.architectures.OmniSR import OmniSR
from spandrel.architectures.PLKSR import PLKSR, RealPLKSR
from spandrel.architectures.RGT import RGT
from spandrel.architectures.SAFMN import SAFMN
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwiftSRGAN import SwiftSRGAN
from spandrel.architectures.Swin2SR import Swin2SR
from spandrel.architectures.SwinIR import SwinIR
from torch import nn

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Kind, ModelInfo
from pipelines.models.loading import Manner
from pipelines.models.reading import read_model
from pipelines.models.upscalers import ARCHITECTURES
from pipelines.upscaling.networks import Upscaler, load_upscaler
from pipelines.upscaling.tiles import Levels, Tiling, enlarged

ON_CPU = Manner(torch.device("cpu"), torch.float32)
NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "ESRGAN": lambda: ESRGAN(num_filters=8, num_blocks=1, scale=4),
    "ESRGAN of 2": lambda: ESRGAN(num_filters=8, num_blocks=1, scale=2),
    "Compact": lambda: Compact(num_feat=8, num_conv=3, upscale=4),
    "SPAN": lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=12, upscale=2),
    "SwinIR": lambda: SwinIR(
        embed_dim=12, depths=[2], num_heads=[2], window_size=8, upscale=2, upsampler="pixelshuffle"
    ),
    "Swin2SR": lambda: Swin2SR(
        embed_dim=12, depths=[2], num_heads=[2], window_size=8, upscale=2, upsampler="pixelshuffle"
    ),
    "PLKSR": lambda: PLKSR(dim=16, n_blocks=2, upscaling_factor=2),
    "RealPLKSR": lambda: RealPLKSR(dim=16, n_blocks=2, upscaling_factor=2),
    "SAFMN": lambda: SAFMN(dim=12, n_blocks=2, upscaling_factor=2),
    "DRCT": lambda: DRCT(embed_dim=12, depths=(1,), num_heads=(2,), window_size=8, upscale=2, upsampler="pixelshuffle"),
    "MoSR": lambda: MoSR(dim=12, n_block=2, upscale=2),
    "MoESR": lambda: MoESR(scale=2, dim=12, n_blocks=1, n_block=1),
    "DITN": lambda: DITN(dim=12, ITL_blocks=1, SAL_blocks=1, UFONE_blocks=1, upscale=2),
    "SwiftSRGAN": lambda: SwiftSRGAN(num_channels=8, num_blocks=2, upscale_factor=2),
}
"""Each of its own architecture, tiny, of chance."""
SEEING_ALL: Mapping[str, Callable[[], nn.Module]] = {
    "DAT": lambda: DAT(embed_dim=32, depth=[2], num_heads=[2], split_size=[8, 16], expansion_factor=2.0, upscale=2),
    "HAT": lambda: HAT(
        embed_dim=12, depths=(1,), num_heads=(2,), window_size=8, squeeze_factor=4, upscale=2, upsampler="pixelshuffle"
    ),
    "OmniSR": lambda: OmniSR(num_feat=16, up_scale=2, res_num=1),
    "RGT": lambda: RGT(embed_dim=12, depth=[2], num_heads=[2], upscale=2),
}
"""The same, of those that weigh their channels by all that they see: a tile is another picture to them, a little."""
# Theirs to mend: what torch says of how these networks are built.
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid", "ignore:Initializing zero-element")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upscalers")


def saved(name: str, folder: Path) -> ModelInfo:
    """As the community passes them on."""
    file = folder / f"{name.replace(' ', '-')}.safetensors"
    torch.manual_seed(7)
    made = {**NETWORKS, **SEEING_ALL}[name]
    save_file({key: weight.contiguous().clone() for key, weight in made().state_dict().items()}, file)
    return read_model(file, name)


def opened(info: ModelInfo) -> Upscaler:
    return load_upscaler(info, ON_CPU)


def smooth(height: int, width: int) -> Levels:
    """A picture with shades and edges."""
    down, across = np.mgrid[:height, :width].astype(np.float32)
    levels = np.stack([down / height, across / width, ((down // 16 + across // 16) % 2)], axis=2)
    return (0.1 + 0.8 * levels).astype(np.float32)


def whole_and_tiled(info: ModelInfo) -> tuple[Levels, Levels]:
    upscaler, picture = opened(info), smooth(112, 144)
    whole = upscaler(picture)
    assert whole.shape == (112 * upscaler.factor, 144 * upscaler.factor, 3)
    tiling = Tiling(side=96, margin=32, feather=8, multiple=upscaler.multiple)
    strips = enlarged((144, 112), lambda rows, columns: picture[rows, columns], upscaler, upscaler.factor, tiling)
    return whole, np.concatenate([strip.rows for strip in strips if strip.rows is not None])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_picture_in_tiles_is_the_picture(name: str, folder: Path) -> None:
    info = saved(name, folder)
    assert info.kind is Kind.UPSCALER and info.detail and info.problem is None
    whole, tiled = whole_and_tiled(info)
    assert np.abs(tiled - whole).max() * 255 <= 1


@pytest.mark.parametrize("name", SEEING_ALL)
def test_networks_that_see_all_at_once_take_tiles_nearly_as_well(name: str, folder: Path) -> None:
    whole, tiled = whole_and_tiled(saved(name, folder))
    assert np.abs(tiled - whole).mean() * 255 <= 3


def test_architectures_are_told_apart_as_spandrel_does() -> None:
    def told(condition: Any) -> Any:
        if isinstance(condition, str):
            return condition
        return {condition._kind: [told(key) for key in condition._keys]}

    theirs = {support.architecture.id: told(support.architecture._detect)
              for support in MAIN_REGISTRY.architectures("detection")}  # fmt: skip
    assert list(theirs.items()) == list(ARCHITECTURES.items())


def test_a_file_that_nobody_knows_is_named_with_what_is_in_it(folder: Path) -> None:
    file = folder / "other.safetensors"
    save_file({"something.weight": torch.zeros(3, 3)}, file)
    with pytest.raises(ModelUnusable, match=r"no upscaler that is known here; its first tensors are something\.weight"):
        opened(read_model(file, "other"))
