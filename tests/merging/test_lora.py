"""LoRAs out of LoRAs and out of models: exact where that can be, and the nearest of its rank where it cannot."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.blocks import blocks_of
from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.model import Family
from pipelines.merging.lora import Extraction, MadeLora, combined, extracted
from pipelines.merging.sizes import Size
from pipelines.merging.sources import opened
from pipelines.models.lora.changes import changes_of
from pipelines.models.lora.file import LoraFile, read_lora
from pipelines.models.lora.fit import fit, model_of
from pipelines.models.lora.names import ATTENDS, every_name, targets, written
from pipelines.models.lora.strength import Strength
from pipelines.models.reading import read_model
from tests.models import loras
from tests.models.synthetic import networks, write_single

UNET = "model.diffusion_model."
OPEN = Size()
MODULE = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
ORIGINAL = "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "mid_block.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.mlp.fc1"


def lora(folder: Path, name: str, tensors: Mapping[str, Tensor], **metadata: str) -> LoraFile:
    save_file({key: t.contiguous() for key, t in tensors.items()}, folder / f"{name}.safetensors", metadata or None)
    return read_lora(folder / f"{name}.safetensors", name)


def pair(key: str, out: int, inside: tuple[int, ...], rank: int, alpha: float | None, seed: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    ones = (1,) * (len(inside) - 1)
    made = {f"{key}.lora_up.weight": torch.randn(out, rank, *ones, generator=g),
            f"{key}.lora_down.weight": torch.randn(rank, *inside, generator=g)}  # fmt: skip
    return made | ({f"{key}.alpha": torch.tensor(alpha)} if alpha is not None else {})


def product(tensors: Mapping[str, Tensor], key: str) -> NDArray[np.float64]:
    up, down = (tensors[f"{key}.lora_{side}.weight"].double().flatten(1).numpy() for side in ("up", "down"))
    alpha = tensors.get(f"{key}.alpha")
    made: NDArray[np.float64] = (up @ down) * (1.0 if alpha is None else float(alpha) / down.shape[0])
    return made


def result(*makers: tuple[LoraFile, Strength], size: Size = OPEN) -> MadeLora:
    *_, made = combined(makers, size)
    assert isinstance(made, MadeLora)
    return made


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.6, -0.4), (0.5, 0.0)])
def test_a_sum_is_exact_whatever_ranks_alphas_and_names(weights: tuple[float, float], tmp_path: Path) -> None:
    flat, other = f"lora_unet_{MODULE.replace('.', '_')}", f"lora_unet_{ORIGINAL.replace('.', '_')}"
    first = pair(flat, 16, (12,), 2, 1.0, 1) | pair(
        f"lora_unet_{CONVOLUTION.replace('.', '_')}", 8, (6, 3, 3), 4, 8.0, 2
    )
    second = pair(other, 16, (12,), 3, None, 3)  # the original's name of the same module, another rank, no alpha
    made = result(
        (lora(tmp_path, "a", first), Strength(weights[0])), (lora(tmp_path, "b", second), Strength(weights[1]))
    )
    expected = weights[0] * product(first, flat) + weights[1] * product(second, other)
    tensors = made.tensors(torch.float32)
    np.testing.assert_allclose(product(tensors, flat), expected, rtol=1e-4, atol=1e-5)
    assert tensors[f"{flat}.lora_up.weight"].shape == (16, 5 if weights[1] else 2)
    convolution = f"lora_unet_{CONVOLUTION.replace('.', '_')}"
    assert tensors[f"{convolution}.lora_down.weight"].shape == (4, 6, 3, 3)
    np.testing.assert_allclose(
        product(tensors, convolution), weights[0] * product(first, convolution), rtol=1e-4, atol=1e-5
    )


def test_unet_text_and_blocks_have_weights_of_their_own(tmp_path: Path) -> None:
    flat, text = f"lora_unet_{MODULE.replace('.', '_')}", f"lora_te_{TEXT.replace('.', '_')}"
    tensors = pair(flat, 16, (12,), 2, 2.0, 1) | pair(text, 16, (12,), 2, 2.0, 2)
    blocks = tuple(0.25 if n == 5 else 1.0 for n in range(26))  # IN04
    made = result((lora(tmp_path, "a", tensors), Strength(0.8, -0.5, blocks))).tensors(torch.float32)
    np.testing.assert_allclose(product(made, flat), 0.2 * product(tensors, flat), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(product(made, text), -0.5 * product(tensors, text), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3, 6, 40])
def test_to_a_rank_nothing_of_that_rank_is_nearer(rank: int, tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    several = [pair(flat, 30, (20,), r, 3.0, r) for r in (4, 5)]
    files = [(lora(tmp_path, str(n), one), Strength(0.7)) for n, one in enumerate(several)]
    whole = sum(0.7 * product(one, flat) for one in several)
    made = result(*files, size=Size(rank)).tensors(torch.float32)
    values = np.linalg.svd(whole, compute_uv=False)
    tail = np.sqrt((values[rank:] ** 2).sum())
    error = np.linalg.norm(product(made, flat) - whole)
    assert error <= tail + 1e-4 * np.linalg.norm(whole)
    assert made[f"{flat}.lora_up.weight"].shape[1] == min(rank, 9)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.999])
def test_to_an_energy_each_module_keeps_as_many_as_it_takes_and_no_more(energy: float, tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    tensors = pair(flat, 30, (20,), 9, 9.0, 1)
    made = result((lora(tmp_path, "a", tensors), Strength()), size=Size(energy=energy)).tensors(torch.float32)
    squares = np.linalg.svd(product(tensors, flat), compute_uv=False) ** 2
    rank = made[f"{flat}.lora_up.weight"].shape[1]
    assert squares[:rank].sum() >= energy * squares.sum() > squares[: rank - 1].sum()


LOW_RANK = ("LoRA", "LoHa", "LoKr of factors")
DENSE = ("LoKr", "full difference")


@pytest.mark.parametrize(
    ("kind", "place"),
    [*((kind, place) for kind in (*LOW_RANK, *DENSE) for place in ("matrix", "convolution")),
     *((kind, "convolution") for kind in loras.OF_CONVOLUTIONS)],
)  # fmt: skip
def test_other_kinds_become_loras_that_do_the_same(kind: str, place: str, tmp_path: Path) -> None:
    make = (loras.KINDS | loras.OF_CONVOLUTIONS)[kind]  # type: ignore[operator]
    shape = (16, 12) if place == "matrix" else (16, 12, 3, 3)
    flat = f"lora_unet_{(MODULE if place == 'matrix' else CONVOLUTION).replace('.', '_')}"
    parts = make(shape, torch.Generator().manual_seed(0))
    file = lora(tmp_path, "a", {f"{flat}.{part}": t for part, t in parts.items()})
    dense = kind in {*DENSE, "LoHa, Tucker", "LoKr, Tucker"}
    if dense:
        with pytest.raises(ModelUnusable, match="say how large with --rank or --energy"):
            result((file, Strength()))
    made = result((file, Strength(0.5)), size=Size(999) if dense else OPEN).tensors(torch.float32)
    zero = torch.zeros(shape)
    expected = loras.expected(zero, None, parts, 0.5).weight
    np.testing.assert_allclose(product(made, flat), expected.reshape(16, -1), rtol=1e-3, atol=1e-4)
    assert made[f"{flat}.lora_down.weight"].shape[1:] == shape[1:]
    if "diff_b" in parts:
        torch.testing.assert_close(made[f"{flat}.diff_b"], 0.5 * parts["diff_b"])


@pytest.mark.parametrize("kind", ["DoRA", "IA3", "OFT", "BOFT"])
def test_kinds_that_read_the_weight_are_refused_with_a_way_out(kind: str, tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    parts = loras.KINDS[kind]((16, 16), torch.Generator().manual_seed(0))
    file = lora(tmp_path, "a", {f"{flat}.{part}": t for part, t in parts.items()})
    with pytest.raises(ModelUnusable, match="cannot be added to others; bake it into its model, then extract"):
        result((file, Strength()))


def test_two_families_unknown_modules_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    one = lora(tmp_path, "one", pair(flat, 16, (12,), 2, None, 1), ss_base_model_version="sd_v1")
    two = lora(tmp_path, "two", pair(flat, 16, (12,), 2, None, 1), ss_base_model_version="sdxl_base_v1-0")
    with pytest.raises(ModelUnusable, match=r"'one' is for SD 1.x, 'two' is for SDXL"):
        result((one, Strength()), (two, Strength()))
    with pytest.raises(InvalidRequest, match="Nothing would be left"):
        result((one, Strength(0.0)))
    odd = lora(tmp_path, "odd", pair("lora_unet_nowhere", 16, (12,), 2, None, 1), ss_base_model_version="sd_v1")
    with pytest.raises(ModelUnusable, match="'odd' changes lora_unet_nowhere, which is nothing that is known"):
        result((odd, Strength()))


def test_a_made_lora_says_what_it_is(tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    made = result((lora(tmp_path, "a", pair(flat, 16, (12,), 2, 1.0, 1)), Strength()))
    told = made.metadata([("a", 1)])
    assert all(isinstance(value, str) for value in told.values())
    assert (told["ss_network_dim"], told["ss_base_model_version"]) == ("2", "sd_v1")


@pytest.mark.parametrize("family", list(ATTENDS), ids=str)
def test_names_without_a_model_are_those_of_the_model(family: Family) -> None:
    whole = networks(family, small=False).original()
    of_model, of_family = targets(whole, family), targets(set(every_name(family)), family)
    of_model = {name: target for name, target in of_model.items() if "embedding" not in target.module}
    assert {name: of_family[name].weight for name in of_model} == {name: t.weight for name, t in of_model.items()}
    keys = [written(target, family) for target in dict.fromkeys(of_model.values())]
    assert len(set(keys)) == len(keys) and set(keys) <= of_model.keys()


class TestExtraction:
    @pytest.fixture(scope="class")
    @classmethod
    def models(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("models")
        base = networks(Family.SDXL, small=True).original()
        generator = torch.Generator().manual_seed(3)
        tuned = {
            n: t + 0.01 * torch.randn(t.shape, generator=generator) if t.is_floating_point() else t
            for n, t in base.items()
        }
        for name, tensors in (("base", base), ("tuned", tuned)):
            save_file({n: t.contiguous() for n, t in tensors.items()}, folder / f"{name}.safetensors")
        write_single(folder / "other.safetensors", networks(Family.SD1, small=True))
        return {name: folder / f"{name}.safetensors" for name in ("base", "tuned", "other")}

    def taken(self, models: dict[str, Path], wanted: Extraction, tuned: str = "tuned", base: str = "base") -> MadeLora:
        with ExitStack() as stack:
            sources = [stack.enter_context(opened(read_model(models[name], name))) for name in (tuned, base)]
            *_, made = extracted(sources[0], sources[1], wanted)
        assert isinstance(made, MadeLora)
        return made

    def test_of_models_of_other_sides_there_is_none(self, models: dict[str, Path]) -> None:
        tensors = load_file(models["base"])
        name = "model.diffusion_model.middle_block.1.proj_in.weight"
        tensors[name] = tensors[name][:, :-1].contiguous()
        save_file(tensors, narrow := models["base"].with_name("narrow.safetensors"))
        with pytest.raises(InvalidRequest, match=r"middle_block.1.proj_in.weight has other sides in 'narrow'; take a"):
            self.taken({**models, "narrow": narrow}, Extraction(Size(2)), base="narrow")

    def test_it_is_the_nearest_of_its_rank_in_unet_and_both_text_encoders(
        self, models: dict[str, Path], tmp_path: Path
    ) -> None:
        made = self.taken(models, Extraction(Size(6), Size(4))).tensors(torch.float16)
        file = lora(tmp_path, "made", made, ss_base_model_version="sdxl_base_v1-0")
        base, tuned = (load_file(models[name]) for name in ("base", "tuned"))
        model = model_of("base", Family.SDXL, {name: tuple(t.shape) for name, t in base.items()})
        fitted = fit(file, model)
        assert not fitted.unmatched
        changes = changes_of([(fitted, Strength())], blocks_of(Family.SDXL))
        kinds = set()
        for name in sorted(changes.by_weight)[::5]:
            delta = (tuned[name] - base[name]).double().numpy()
            kept = (changes.on_original(name, base[name].float()) - base[name]).double().numpy()
            thirds = (
                np.split(delta, 3) if "in_proj" in name else [delta.T if name.endswith("text_projection") else delta]
            )
            rank = 4 if delta.ndim == 4 and delta.shape[-1] > 1 else 6
            tails = [np.linalg.svd(one.reshape(len(one), -1), compute_uv=False)[rank:] for one in thirds]
            bound = np.sqrt(sum((tail**2).sum() for tail in tails)) + 2e-3 * np.linalg.norm(delta)
            assert np.linalg.norm(kept - delta) <= bound, name
            kinds.add((name.split(".")[0] + name.split(".")[2][:1], delta.ndim))
        assert len(kinds) >= 4

    def test_without_a_rank_for_them_kernels_are_left_out(self, models: dict[str, Path]) -> None:
        made = self.taken(models, Extraction(Size(2)))
        assert all(len(factors.kernel) == 1 or factors.kernel[1] == 1 for factors in made.modules.values())
        assert {factors.rank for factors in made.modules.values()} == {2}

    def test_models_that_are_the_same_or_of_two_families_are_refused(self, models: dict[str, Path]) -> None:
        with pytest.raises(ModelUnusable, match="differs nowhere"):
            self.taken(models, Extraction(Size(2)), tuned="base")
        with pytest.raises(InvalidRequest, match=r"is SDXL, and 'other' is SD 1.x"):
            self.taken(models, Extraction(Size(2)), base="other")


def test_a_large_alpha_overflows_no_factor_and_another_width_is_refused(tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    loud = {f"{flat}.lora_up.weight": torch.full((8, 2), 100.0), f"{flat}.lora_down.weight": torch.full((2, 6), 1e-3),
            f"{flat}.alpha": torch.tensor(2000.0)}  # fmt: skip
    made = result((lora(tmp_path, "loud", loud), Strength())).tensors(torch.float16)
    assert all(bool(tensor.isfinite().all()) for tensor in made.values())
    np.testing.assert_allclose(product(made, flat), product(loud, flat), rtol=5e-3)
    narrow = lora(tmp_path, "narrow", pair(flat, 8, (5,), 2, None, 1))
    with pytest.raises(ModelUnusable, match="do not fit each other; use LoRAs for one kind of model"):
        result((lora(tmp_path, "wide", pair(flat, 8, (6,), 2, None, 1)), Strength()), (narrow, Strength()))


def test_alpha_is_the_rank_in_every_format(tmp_path: Path) -> None:
    flat = f"lora_unet_{MODULE.replace('.', '_')}"
    file = lora(tmp_path, "tall", pair(flat, 400, (400,), 301, None, 1))
    for dtype in (torch.float16, torch.bfloat16):
        assert float(result((file, Strength())).tensors(dtype)[f"{flat}.alpha"]) == 301
