"""Whole models are mixed exactly: every number within one rounding of the formula in float64."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.blocks import VAE, blocks_of
from pipelines.core.error import EaselError, InvalidRequest, ModelUnusable
from pipelines.core.model import Family
from pipelines.core.recipe import Mix
from pipelines.merging import merge as module
from pipelines.merging.merge import Merge
from pipelines.merging.plan import Plan, plan
from pipelines.merging.sources import opened
from pipelines.merging.weighting import Weighting
from pipelines.models.reading import read_model
from pipelines.models.rounding import Rounding
from tests.merging import references
from tests.models.synthetic import networks, write_folder, write_single

ULP = {torch.float16: 2**-10, torch.bfloat16: 2**-7, torch.float32: 2**-21}
"""What a number of each format may be off, relative to its size: the last rounding (and fp32's own sums)."""
FAMILIES = (Family.SD1, Family.SD2, Family.SDXL, Family.SDXL_REFINER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def file_of(folder: Path, family: Family, seed: int, **settings: Any) -> Path:
    name = f"{family.name}-{seed}-{'-'.join(map(str, settings.values()))}.safetensors"
    file = folder / name
    return file if file.exists() else write_single(file, networks(family, small=True, seed=seed, **settings))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def mixed(
    mix: Mix, files: Sequence[Path], stack: ExitStack, *, vae: Path | None = None, dtype: torch.dtype | None = None
) -> tuple[dict[str, Tensor], Plan]:
    sources = [stack.enter_context(opened(read_model(file, file.stem))) for file in files]
    from_file = stack.enter_context(opened(read_model(vae, vae.stem))) if vae else None
    made = plan(mix, sources, from_file)
    merge = Merge(mix, made, Rounding(dtype))
    for _ in merge.look():
        pass
    return {step.name: merge.tensor(step) for step in made.steps}, made


def assert_within_one_rounding(found: Tensor, expected: Any, name: str) -> None:
    off = np.abs(found.double().numpy() - expected)
    allowed = ULP[found.dtype] * np.abs(expected) + 1e-6
    assert (off <= allowed).all(), (name, float(off.max()))


@pytest.mark.parametrize("dtype", list(ULP), ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_every_block_takes_its_own_weight(family: Family, dtype: torch.dtype, folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, family, seed) for seed in (0, 1)]
    blocks = blocks_of(family)
    weights = tuple(0.03 + 0.9 * n / len(blocks) for n in range(len(blocks)))
    found, _ = mixed(Mix(blocks={"alpha": weights}), files, stack, dtype=dtype)
    a, b = (load_file(file) for file in files)
    assert list(found) == list(a)
    for name, tensor in found.items():
        block = blocks.of(name)
        if block is None or not a[name].is_floating_point():
            assert torch.equal(tensor, a[name].to(dtype) if a[name].is_floating_point() else a[name]), name
            continue
        alpha = weights[blocks.names.index(block)]
        expected = references.weighted_sum(a[name].double().numpy(), b[name].double().numpy(), alpha)
        assert_within_one_rounding(tensor, expected, name)


THREE: Mapping[str, Mapping[str, Any]] = {
    "add_difference": {"alpha": 0.7},
    "train_difference": {"alpha": 0.7},
    "triple_sum": {"alpha": 0.3, "beta": 0.4},
    "sum_twice": {"alpha": 0.3, "beta": 0.4},
    "ties": {"alpha": 0.9, "weights": (0.7, 0.5), "density": 0.6},
    "task_arithmetic": {"alpha": 0.9, "weights": (0.7, 0.5)},
    "breadcrumbs": {"alpha": 0.9, "weights": (0.7, 0.5), "density": 0.6, "gamma": 0.1},
    "model_stock": {},
}


@pytest.mark.parametrize("method", THREE)
def test_three_models_are_mixed_by_the_formula_in_the_order_given(method: str, folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1, 2)]
    found, made = mixed(Mix(method=method, parameters=dict(THREE[method])), files, stack, dtype=torch.float32)
    models = [load_file(file) for file in files]
    names = [step.name for step in made.steps if step.is_mixed]
    assert len(names) > 700
    for name in names[::9]:
        expected = getattr(references, method)(*(one[name].double().numpy() for one in models), **THREE[method])
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_slices_make_no_difference(folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    whole, _ = mixed(Mix(parameters={"alpha": 0.3}), files, stack)
    monkeypatch.setattr(module, "SLICE", 1000)
    parts, _ = mixed(Mix(parameters={"alpha": 0.3}), files, stack)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_cosine_merges_look_at_all_of_both_first(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    found, made = mixed(Mix(method="cosine_a", parameters={"alpha": 0.2}), files, stack, dtype=torch.float32)
    models = [load_file(file) for file in files]
    names = [step.name for step in made.steps if step.is_mixed]
    pairs = {name: (models[0][name].double().numpy(), models[1][name].double().numpy()) for name in names}
    likeness = {name: references.cosine_likeness(*pair, unit_columns=True) for name, pair in pairs.items()}
    scale = references.cosine_scale(list(likeness.values()))
    for name in names[::9]:
        expected = references.cosine(*pairs[name], likeness[name], scale, 0.2)
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-3, atol=2e-4, err_msg=name)


def test_lots_follow_from_seed_and_name_and_not_from_the_order_of_tensors(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    turned = []
    for file in files:
        turned.append(file.with_name(f"turned-{file.name}"))
        tensors = load_file(file)
        keys = {name: f"{'z' if 'out' in name else 'a'}" for name in tensors}
        save_file(dict(sorted(tensors.items(), key=lambda item: (keys[item[0]], item[0][::-1]))), turned[-1])
    mix = Mix(method="dare", parameters={"density": 0.4, "seed": 7})
    first, _ = mixed(mix, files, stack)
    second, _ = mixed(mix, turned, stack)
    other, _ = mixed(Mix(method="dare", parameters={"density": 0.4, "seed": 8}), files, stack)
    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(("vae", "share"), [("A", 0), ("B", 1), ("base", 0.25), ("0.5", 0.5)])
def test_the_vae_is_whose_was_asked_for(vae: str, share: float, folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    weights = (0.25, *[0.8] * 25)
    found, _ = mixed(Mix(blocks={"alpha": weights}, vae=vae), files, stack)
    a, b = (load_file(file) for file in files)
    name = f"{VAE}decoder.conv_in.weight"
    torch.testing.assert_close(found[name], torch.lerp(a[name], b[name], share))


def test_a_vae_of_another_file_is_baked_in_however_it_is_spelled(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    made = networks(Family.SD1, small=True, seed=5)
    original = {name.removeprefix(VAE): t for name, t in made.original().items() if name.startswith(VAE)}
    save_file({name: t.contiguous() for name, t in original.items()}, folder / "vae.safetensors")
    save_file(made.vae.state_dict(), folder / "vae-diffusers.safetensors")
    for file in (folder / "vae.safetensors", folder / "vae-diffusers.safetensors"):
        found, _ = mixed(Mix(vae="file"), files, stack, vae=file)
        for name, tensor in original.items():
            assert torch.equal(found[VAE + name], tensor), name


def test_elements_outrank_blocks(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    found, _ = mixed(Mix(parameters={"alpha": 0.5}, elemental="M00:attn2:1"), files, stack)
    a, b = (load_file(file) for file in files)
    root = "model.diffusion_model.middle_block.1.transformer_blocks.0"
    assert torch.equal(found[f"{root}.attn2.to_k.weight"], b[f"{root}.attn2.to_k.weight"])
    name = f"{root}.attn1.to_k.weight"
    torch.testing.assert_close(found[name], (a[name] + b[name]) / 2)


def test_a_folder_and_a_file_of_the_same_model_are_the_same(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SDXL, seed) for seed in (0, 1)]
    at = folder / "as-folder"
    write_folder(at, networks(Family.SDXL, small=True, seed=1))
    plain, _ = mixed(Mix(parameters={"alpha": 0.3}), files, stack)
    of_folder, _ = mixed(Mix(parameters={"alpha": 0.3}), [files[0], at], stack)
    assert all(torch.equal(plain[name], of_folder[name]) for name in plain)


def test_a_unet_of_diffusers_spelling_is_mixed_with_a_whole_checkpoint(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    alone = folder / "unet-only.safetensors"
    save_file(networks(Family.SD1, small=True, seed=1).unet.state_dict(), alone)
    plain, _ = mixed(Mix(parameters={"alpha": 0.3}, blocks={"alpha": (0.0, *[0.3] * 25)}), files, stack)
    found, made = mixed(Mix(parameters={"alpha": 0.3}), [files[0], alone], stack)
    unet = [name for name in plain if name.startswith("model.diffusion_model.")]
    assert len(unet) > 600 and all(torch.equal(plain[name], found[name]) for name in unet)
    assert any("has no text encoder of its own" in note for note in made.notes)


def test_text_encoders_of_early_files_meet_those_of_later_ones(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    early = folder / "early.safetensors"
    tensors = load_file(files[1])
    save_file({name.replace("transformer.text_model.", "transformer."): t for name, t in tensors.items()}, early)
    plain, _ = mixed(Mix(parameters={"alpha": 0.3}), files, stack)
    found, _ = mixed(Mix(parameters={"alpha": 0.3}), [files[0], early], stack)
    assert all(torch.equal(plain[name], found[name]) for name in plain)


def test_inpainting_models_share_the_first_four_channels(folder: Path, stack: ExitStack) -> None:
    nine, four = file_of(folder, Family.SD1, 0, channels=9), file_of(folder, Family.SD1, 1)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    a, b = load_file(nine)[name], load_file(four)[name]
    found, made = mixed(Mix(parameters={"alpha": 0.5}), [nine, four], stack)
    torch.testing.assert_close(found[name][:, :4], (a[:, :4] + b) / 2)
    assert torch.equal(found[name][:, 4:], a[:, 4:])
    assert any("read different channels" in note for note in made.notes)
    found, _ = mixed(Mix(parameters={"alpha": 0.5}), [four, nine], stack)
    torch.testing.assert_close(found[name], (a[:, :4] + b) / 2)


def test_what_is_no_weight_is_carried_and_never_averaged(folder: Path, stack: ExitStack) -> None:
    a, b = (load_file(file_of(folder, Family.SD1, seed)) for seed in (0, 1))
    marks = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0), "edm_vpred.sigma_max": torch.tensor(120.0)}
    ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    b[ids] = b[ids].float() + 0.5  # as a careless merger leaves them
    ema = {f"model_ema.{n}": torch.ones(3) for n in ("decay", "x")}
    save_file({**a, **marks, **ema}, folder / "marked.safetensors")
    save_file({**b, "edm_vpred.sigma_max": torch.tensor(80.0)}, folder / "floats.safetensors")
    files = [folder / "marked.safetensors", folder / "floats.safetensors"]
    found, _ = mixed(Mix(), files, stack, dtype=torch.float16)
    assert found[ids].dtype is torch.int64 and torch.equal(found[ids], a[ids])
    assert float(found["edm_vpred.sigma_max"]) == 120
    assert {"v_pred", "ztsnr", "model_ema.x"} <= found.keys()
    pruned, _ = mixed(Mix(pruned=True), files, stack)
    assert not [name for name in pruned if name.startswith("model_ema.")] and "v_pred" in pruned


def refused(files: Sequence[Path], stack: ExitStack, mix: Mix | None = None) -> str:
    with pytest.raises(InvalidRequest) as caught:
        mixed(mix or Mix(), files, stack)
    return str(caught.value)


def test_models_of_two_families_are_refused_at_once(folder: Path, stack: ExitStack) -> None:
    said = refused([file_of(folder, Family.SD1, 0), file_of(folder, Family.SDXL, 0)], stack)
    assert "do not go together" in said and "SDXL" in said and said.endswith("mix models of one family")


def test_half_a_unet_is_refused_with_names(folder: Path, stack: ExitStack) -> None:
    tensors = load_file(file_of(folder, Family.SD1, 1))
    half = {name: t for name, t in tensors.items() if "output_blocks.5" not in name}
    save_file(half, folder / "half.safetensors")
    said = refused([file_of(folder, Family.SD1, 0), folder / "half.safetensors"], stack)
    assert said.startswith("'half' lacks ") and "model.diffusion_model.output_blocks.5" in said


def test_other_shapes_are_refused_with_the_tensor_named(folder: Path, stack: ExitStack) -> None:
    tensors = load_file(file_of(folder, Family.SD1, 1))
    name = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    tensors[name] = tensors[name][:3].contiguous()
    save_file(tensors, folder / "narrow.safetensors")
    said = refused([file_of(folder, Family.SD1, 0), folder / "narrow.safetensors"], stack)
    assert said.startswith(f"{name} is 128 x 128 x 3 x 3 in 'SD1-0-' and 3 x 128 x 3 x 3 in 'narrow'")


def test_a_lora_is_no_model_to_mix(folder: Path, stack: ExitStack) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.ones(4, 4)}, folder / "lora.safetensors")
    with pytest.raises(EaselError):
        mixed(Mix(), [folder / "lora.safetensors"] * 2, stack)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"method": "weightedsums"}, "no merge method named"),
        ({"parameters": {"alpha": float("nan")}}, "parameters.alpha"),
        ({"parameters": {"alpha": 1e30}}, "Alpha cannot be 1e\\+30; use -10 to 10"),
        ({"parameters": {"gamma": 1.0}}, "no setting of Weighted sum named 'gamma'"),
        ({"blocks": {"alpha": (1e30,) * 26}}, "Alpha cannot be 1e\\+30"),
        ({"blocks": {"beta": (1.0,) * 26}}, "no setting of Weighted sum named 'beta'"),
        ({"blocks": {"alpha": (1.0,) * 24}}, "24 block weights, and 26 blocks"),
        ({"elemental": "IN00:x"}, "is not of the form"),
        ({"vae": "C"}, "There is no model C to take the VAE from; use one of A, B"),
        ({"vae": "nonsense"}, "says no VAE"),
        ({"method": "triple_sum"}, "Triple sum mixes 3 models, and 2 are given"),
        ({"method": "add_difference"}, "Add difference mixes 3 models, the base last, and 2 are given"),
        ({"method": "ties", "parameters": {"weights": (1.0, 2.0)}}, "There are 2 weights for 1 models"),
        ({"method": "model_stock", "elemental": "::1"}, "has no weights for elements"),
    ],
)
def test_a_mix_that_cannot_work_is_refused_before_anything_is_read(
    settings: dict[str, Any], complaint: str, folder: Path, stack: ExitStack
) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    with pytest.raises(EaselError, match=complaint):
        mixed(Mix(**settings), files, stack)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_a_number_that_the_result_cannot_hold_names_its_tensor(bad: float, folder: Path, stack: ExitStack) -> None:
    tensors = load_file(file_of(folder, Family.SD1, 1))
    name = "model.diffusion_model.out.2.weight"
    tensors[name] = torch.full_like(tensors[name], bad)
    save_file(tensors, folder / "bad.safetensors")
    with pytest.raises(ModelUnusable, match=f"The result is not finite at {name}; use smaller weights"):
        mixed(Mix(), [file_of(folder, Family.SD1, 0), folder / "bad.safetensors"], stack, dtype=torch.float16)


def test_shapes_nobody_ever_used_are_mixed_if_the_names_tell_the_family(folder: Path, stack: ExitStack) -> None:
    files = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        names = networks(Family.SDXL, small=False).original()
        files.append(folder / f"tiny-{seed}.safetensors")
        save_file({name: torch.randn(2, 3, generator=generator).half() for name in names}, files[-1])
    found, made = mixed(Mix(blocks={"alpha": (0.2, *[0.6] * 19)}), files, stack)
    assert len(made.blocks) == 20 and len(found) == len(names)
    a, b = (load_file(file) for file in files)
    name = "conditioner.embedders.1.model.ln_final.weight"
    torch.testing.assert_close(found[name], torch.lerp(a[name].float(), b[name].float(), 0.2).half())


def test_fp8_is_for_the_denoisers_matrices_only(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    found, _ = mixed(Mix(), files, stack, dtype=torch.float8_e4m3fn)
    assert found["model.diffusion_model.middle_block.1.proj_in.weight"].dtype is torch.float8_e4m3fn
    assert found["model.diffusion_model.middle_block.1.norm.weight"].dtype is torch.float16
    assert found[f"{VAE}decoder.conv_in.weight"].dtype is torch.float16


def test_cosine_merges_take_models_that_read_other_channels(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, 0), file_of(folder, Family.SD1, 1, channels=9)]
    found, _ = mixed(Mix(method="cosine_a", parameters={"alpha": 0.2}), files, stack)
    assert found["model.diffusion_model.input_blocks.0.0.weight"].shape[1] == 4


def test_a_vae_of_another_kind_is_refused_and_what_is_no_vae_left_behind(folder: Path, stack: ExitStack) -> None:
    files = [file_of(folder, Family.SD1, seed) for seed in (0, 1)]
    vae = {n.removeprefix(VAE): t for n, t in load_file(files[1]).items() if n.startswith(VAE)}
    save_file({**vae, "loss.logvar": torch.ones(1), "model_ema.decay": torch.ones(1)}, folder / "untidy.safetensors")
    found, _ = mixed(Mix(vae="file"), files, stack, vae=folder / "untidy.safetensors")
    assert not [name for name in found if "logvar" in name or "decay" in name]
    wide = {**vae, "decoder.conv_in.weight": torch.ones(64, 16, 3, 3)}
    save_file(wide, folder / "wide.safetensors")
    save_file({n: t for n, t in vae.items() if "encoder.down" not in n}, folder / "half-vae.safetensors")
    for name in ("wide", "half-vae"):
        with pytest.raises(InvalidRequest, match=f"The VAE of '{name}' is none for 'SD1-0-'"):
            mixed(Mix(vae="file"), files, stack, vae=folder / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"method": "model_stock", "vae": "0.5"}, "Model stock knows no weight for the VAE"),
        ({"method": "tensor_sum", "vae": "3"}, "Alpha cannot be 3; use 0 to 1"),
        ({"method": "tensor_sum", "elemental": "::5"}, "A rule asks for 5; use 0 to 1"),
        ({"vae": "é"}, "says no VAE"),
    ],
)
def test_weights_of_vae_and_elements_keep_to_the_methods_range(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        Weighting(Mix(**settings), blocks_of(Family.SD1))
