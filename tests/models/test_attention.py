"""Every way to attend gives the same picture; only time and memory differ."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from pipelines.core.attention import ATTENTIONS
from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.models import attention
from pipelines.models.attention import FUNCTIONS, AttentionBlock, chunked, find_attention, naive, sdpa
from pipelines.models.loading import LoadedModel, Manner, load
from tests.generation.painting import difference, paint

CPU = torch.device("cpu")


def qkv(*, tokens: int = 300, context: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    make = torch.Generator().manual_seed(0)
    return tuple(torch.randn((2, 4, n, 40), generator=make) for n in (tokens, context, context))  # type: ignore[return-value]


def test_every_attention_that_people_can_name_is_there() -> None:
    assert set(FUNCTIONS) == {one.key for one in ATTENTIONS}


@pytest.mark.parametrize("context", [300, 77])
def test_chunked_and_naive_compute_what_pytorch_computes(context: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "CHUNK_BYTES", 50_000)  # some 20 queries at a time, and a rest
    expected = sdpa(*qkv(context=context))
    assert torch.allclose(naive(*qkv(context=context)), expected, atol=1e-5)
    assert torch.allclose(chunked(*qkv(context=context)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 64, 32), (2, 32, 8, 8)], ids=["tokens", "picture"])
def test_the_block_does_what_diffusers_does(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    in_vae = len(shape) == 4
    block = Attention(
        32, heads=4, dim_head=8, norm_num_groups=8 if in_vae else None, residual_connection=in_vae, bias=in_vae,
        rescale_output_factor=2.0,
    )  # fmt: skip
    states = torch.randn(shape)
    block.set_processor(AttnProcessor2_0())
    expected = block(states)
    block.set_processor(AttentionBlock(sdpa))
    assert torch.allclose(block(states), expected, atol=1e-6)


@pytest.mark.parametrize("key", ["sdpa", "chunked", "naive"])
def test_the_picture_is_the_same(key: str, starter: LoadedModel) -> None:
    other = load(starter.info, Manner(CPU, torch.float32, attention=find_attention(key, CPU)))
    assert difference(paint(other)[0], paint(starter)[0]) <= 1


def test_an_attention_that_does_not_run_here_is_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidRequest, match=r"cuDNN does not run here .*; use --attention auto"):
        find_attention("cudnn", CPU)


def test_an_unknown_attention_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="'Chunked'"):
        find_attention("chunkd", CPU)
