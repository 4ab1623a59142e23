"""LoRAs of every kind, under every name that trainers give them, change exactly what they should."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.core.blocks import SD, XL, blocks_of
from pipelines.core.error import EaselError, InvalidRequest, ModelUnusable
from pipelines.core.model import Family
from pipelines.models.lora.changes import Changes, changes_of
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.fit import Fit, Model, fit, model_of, warnings
from pipelines.models.lora.names import Part, targets
from pipelines.models.lora.strength import Strength, check_strength
from tests.models import loras
from tests.models.synthetic import networks

UNET = "model.diffusion_model."
ATTENTION = "down_blocks.{}.attentions.0.transformer_blocks.0.attn2.to_k"
PLACES = {
    Family.SD1: (f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", ATTENTION.format(0)),
    Family.SDXL: (f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", ATTENTION.format(1)),
}
"""The original's name of a matrix, and diffusers' name of its module."""
CONVOLUTION = (f"{UNET}middle_block.0.in_layers.2.weight", "mid_block.resnets.0.conv1")


def original(family: Family) -> Mapping[str, Tensor]:
    return networks(family, small=True).original()


def model(family: Family) -> Model:
    return model_of("model", family, {name: tuple(t.shape) for name, t in original(family).items()})


def file(folder: Path, tensors: Mapping[str, Tensor], **metadata: str) -> Path:
    path = folder / "lora.safetensors"
    save_file({name: t.contiguous() for name, t in tensors.items()}, path, metadata or None)
    return path


def fitted(folder: Path, tensors: Mapping[str, Tensor], family: Family = Family.SD1, **metadata: str) -> Fit:
    return fit(read_lora(file(folder, tensors, **metadata), "lora"), model(family))


def changed(folder: Path, tensors: Mapping[str, Tensor], family: Family, strength: Strength) -> Changes:
    return changes_of([(fitted(folder, tensors, family), strength)], blocks_of(family))


def assert_changes(
    make: loras.Make, name: str, module: str, folder: Path, family: Family, strength: float = 0.7
) -> None:
    weights = original(family)
    weight, bias = weights[name], weights.get(name.replace(".weight", ".bias"))
    parts = make(tuple(weight.shape), torch.Generator().manual_seed(1))
    spelled = f"lora_unet_{module.replace('.', '_')}"
    made = changed(folder, {f"{spelled}.{part}": t for part, t in parts.items()}, family, Strength(strength, 0.0))
    expected = loras.expected(weight, bias, parts, strength)
    np.testing.assert_allclose(made.on_original(name, weight.float()).numpy(), expected.weight, rtol=1e-4, atol=2e-5)
    if bias is not None and expected.bias is not None and ("diff_b" in parts or "b_norm" in parts):
        found = made.on_original(name.replace(".weight", ".bias"), bias.float())
        np.testing.assert_allclose(found.numpy(), expected.bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strength", [1.0, 0.7, -0.5])
@pytest.mark.parametrize("kind", [*loras.KINDS, *loras.OF_MATRICES])
@pytest.mark.parametrize("family", list(PLACES), ids=str)
def test_a_matrix_is_changed_by_the_formula(family: Family, kind: str, strength: float, tmp_path: Path) -> None:
    make = (loras.KINDS | loras.OF_MATRICES)[kind]  # type: ignore[operator]
    assert_changes(make, *PLACES[family], tmp_path, family, strength)


@pytest.mark.parametrize("kind", [*loras.KINDS, *loras.OF_CONVOLUTIONS])
def test_a_convolution_is_changed_by_the_formula(kind: str, tmp_path: Path) -> None:
    make = (loras.KINDS | loras.OF_CONVOLUTIONS)[kind]  # type: ignore[operator]
    assert_changes(make, *CONVOLUTION, tmp_path, Family.SD1)


def test_a_norm_is_changed_with_its_bias(tmp_path: Path) -> None:
    name = f"{UNET}middle_block.0.in_layers.0.weight"
    assert_changes(loras.OF_NORMS["norm"], name, "mid_block.resnets.0.norm1", tmp_path, Family.SD1)


def spelled(module: str, under: str) -> dict[str, str]:
    """What the two factors are called by every trainer; `module` with dots, `under` the original's with dots."""
    flat, other = module.replace(".", "_"), under.replace(".", "_")
    return {
        "kohya": f"lora_unet_{flat}.lora_{{}}.weight",
        "kohya, original names": f"lora_unet_{other}.lora_{{}}.weight",
        "LyCORIS": f"lycoris_unet_{flat}.lora_{{}}.weight",
        "PEFT": f"unet.{module}.lora_{{}}.weight",
        "PEFT, bare": f"base_model.model.{module}.lora_{{}}.weight",
        "ComfyUI": f"diffusion_model.{under}.lora_{{}}.weight",
        "old diffusers": f"unet.{module}.lora.{{}}.weight",
        "lora_linear_layer": f"unet.{module}.lora_linear_layer.{{}}.weight",
        "attention processors": f"unet.{module.replace('.to_k', '.processor.to_k_lora')}.{{}}.weight",
    }


@pytest.mark.parametrize("family", list(PLACES), ids=str)
@pytest.mark.parametrize("spelling", spelled("", ""))
def test_every_spelling_of_a_name_is_understood(spelling: str, family: Family, tmp_path: Path) -> None:
    name, module = PLACES[family]
    under = name.removeprefix(UNET).removesuffix(".weight")
    ends = ("B", "A") if "PEFT" in spelling or spelling == "ComfyUI" else ("up", "down")
    weight = original(family)[name]
    up, down = torch.ones(weight.shape[0], 2), torch.ones(2, weight.shape[1])
    template = spelled(module, under)[spelling]
    tensors = {template.format(end): t for end, t in zip(ends, (up, down), strict=True)}
    made = changed(tmp_path, tensors, family, Strength())
    torch.testing.assert_close(made.on_original(name, weight), weight + 2)


@pytest.mark.parametrize("family", [Family.SD1, Family.SD2, Family.SDXL, Family.SDXL_REFINER], ids=str)
def test_every_linear_and_convolution_of_a_model_can_be_named(family: Family) -> None:
    """Nothing that diffusers could put a LoRA on is missing, and each name leads to its own weight."""
    made, table = networks(family, small=True), targets(original(family), family)
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    for module, layer in made.unet.named_modules():
        if isinstance(layer, kinds):
            target = table[f"lora_unet_{module.replace('.', '_')}"]
            assert (target.part, target.module) == (Part.UNET, module)
    for tower, text in enumerate(made.texts):
        prefix = {0: "lora_te1_", 1: "lora_te2_"}[tower] if family is Family.SDXL else "lora_te_"
        for full, layer in text.named_modules():
            if isinstance(layer, kinds) and "text_projection" not in full:
                module = full if full.startswith("text_model.") else f"text_model.{full}"
                target = table[f"{prefix}{module.replace('.', '_')}"]
                assert (target.part, target.tower, target.module) == (Part.TEXT, tower, module)


@pytest.mark.parametrize("third", [0, 1, 2])
def test_openclips_fused_projection_is_changed_in_its_third(third: int, tmp_path: Path) -> None:
    name = "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight"
    weight = original(Family.SDXL)[name]
    size = weight.shape[1]
    key = f"lora_te2_text_model_encoder_layers_1_self_attn_{'qkv'[third]}_proj"
    tensors = {f"{key}.lora_up.weight": torch.ones(size, 1), f"{key}.lora_down.weight": torch.ones(1, size)}
    made = changed(tmp_path, tensors, Family.SDXL, Strength(0.0, 0.5))
    found = made.on_original(name, weight) - weight
    expected = torch.zeros_like(weight)
    expected[third * size : (third + 1) * size] = 0.5
    torch.testing.assert_close(found, expected)


def test_unet_and_text_have_strengths_of_their_own(tmp_path: Path) -> None:
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    tensors = {}
    for key, shape in ((text, (256, 64)), (f"lora_unet_{PLACES[Family.SD1][1].replace('.', '_')}", (64, 64))):
        tensors[f"{key}.lora_up.weight"] = torch.ones(shape[0], 1)
        tensors[f"{key}.lora_down.weight"] = torch.ones(1, shape[1])
    made = changed(tmp_path, tensors, Family.SD1, Strength(0.25, -2.0))
    fc1 = "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    weights = original(Family.SD1)
    torch.testing.assert_close(made.on_original(fc1, weights[fc1]), weights[fc1] - 2)
    unet = PLACES[Family.SD1][0]
    torch.testing.assert_close(made.on_original(unet, weights[unet]), weights[unet] + 0.25)


@pytest.mark.parametrize(("count", "place"), [(12, 1), (20, 5)])
def test_block_weights_of_sdxl_come_in_twelve_or_twenty(count: int, place: int, tmp_path: Path) -> None:
    weights = tuple(0.5 if n == place else 0.0 for n in range(count))  # IN04
    name, module = PLACES[Family.SDXL]
    key, weight = f"lora_unet_{module.replace('.', '_')}", original(Family.SDXL)[name]
    tensors = {
        f"{key}.lora_up.weight": torch.ones(weight.shape[0], 1),
        f"{key}.lora_down.weight": torch.ones(1, weight.shape[1]),
    }
    made = changed(tmp_path, tensors, Family.SDXL, Strength(2.0, 1.0, weights))
    torch.testing.assert_close(made.on_original(name, weight), weight + 1)
    made = changed(tmp_path, tensors, Family.SDXL, Strength(2.0, 1.0, tuple(0.0 for _ in weights)))
    assert torch.equal(made.on_original(name, weight), weight)


def test_block_weights_of_sd_come_in_seventeen_or_twenty_six_and_nothing_else(tmp_path: Path) -> None:
    target = targets(original(Family.SD1), Family.SD1)[f"lora_unet_{ATTENTION.format(0).replace('.', '_')}"]
    seventeen = tuple(n / 16 for n in range(17))
    assert Strength(1.0, 1.0, seventeen).at(target, SD) == seventeen[1]  # IN01
    assert Strength(1.0, 1.0, tuple(n / 25 for n in range(26))).at(target, SD) == pytest.approx(2 / 25)
    for count in (1, 12, 25):
        with pytest.raises(InvalidRequest, match=f"There are {count} block weights for a LoRA"):
            Strength(1.0, 1.0, (1.0,) * count).at(target, SD)
    assert len(XL) == 20


def test_several_are_added_to_the_untouched_weight_and_order_does_not_matter(tmp_path: Path) -> None:
    name, module = PLACES[Family.SD1]
    weight, key = original(Family.SD1)[name], f"lora_unet_{module.replace('.', '_')}"
    fits = []
    for seed in (1, 2):
        parts = loras.KINDS["LoRA"](tuple(weight.shape), torch.Generator().manual_seed(seed))
        path = tmp_path / f"{seed}.safetensors"
        save_file({f"{key}.{part}": t for part, t in parts.items()}, path)
        fits.append((fit(read_lora(path, str(seed)), model(Family.SD1)), Strength(0.5 * seed)))
    one, other = changes_of(fits, SD).on_original(name, weight), changes_of(fits[::-1], SD).on_original(name, weight)
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    alone = [changes_of([one], SD).on_original(name, weight) - weight for one in fits]
    torch.testing.assert_close(one, weight + sum(alone), rtol=1e-5, atol=1e-6)


def test_kinds_that_read_the_weight_say_that_their_order_counts(tmp_path: Path) -> None:
    name, module = PLACES[Family.SD1]
    shape = tuple(original(Family.SD1)[name].shape)
    for kind, counts in (("DoRA", True), ("IA3", True), ("OFT", True), ("LoHa", False)):
        parts = loras.KINDS[kind](shape, torch.Generator().manual_seed(0))
        made = fitted(tmp_path, {f"lora_unet_{module.replace('.', '_')}.{part}": t for part, t in parts.items()})
        assert made.reads_weights is counts
        assert any("in which order" in note for note in warnings(made)) is counts


class TestFit:
    key = f"lora_unet_{ATTENTION.format(0).replace('.', '_')}"

    def pair(self, key: str | None = None, out: int = 64, across: int = 64) -> dict[str, Tensor]:
        key = key or self.key
        return {f"{key}.lora_up.weight": torch.ones(out, 2), f"{key}.lora_down.weight": torch.ones(2, across)}

    def test_what_has_no_place_is_named(self, tmp_path: Path) -> None:
        made = fitted(tmp_path, {**self.pair(), **self.pair("lora_unet_nowhere"), "stray": torch.ones(1)})
        assert made.unmatched == ("stray", "lora_unet_nowhere")
        assert made.report["matched"] == {"unet": 1, "text": 0}
        assert list(warnings(made)) == ["'lora': the model has no place for stray, lora_unet_nowhere"]

    def test_nothing_matched_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnusable, match=r"Nothing of the LoRA 'lora' fits 'model' \(lora_unet_nowhere\)"):
            fitted(tmp_path, self.pair("lora_unet_nowhere"))

    @pytest.mark.parametrize("said", ["", "sdxl_base_v1-0", "sd_v1"])
    def test_one_for_another_family_is_refused_whatever_it_says(self, said: str, tmp_path: Path) -> None:
        key = f"lora_unet_{ATTENTION.format(1).replace('.', '_')}"  # both families have it
        with pytest.raises(ModelUnusable, match=r"is for SDXL, and 'model' is SD 1.x|is for another model"):
            fitted(tmp_path, self.pair(key, 128, 2048), ss_base_model_version=said)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"lora_up.weight": None}, "lacks the part 'up'"),
            ({"lora_down.weight": None}, "lacks the part 'down'"),
            ({"lora_up.weight": torch.ones(64, 5)}, "has two ranks at .*: 2 and 5"),
            ({"lora_up.weight": torch.ones(64, 0), "lora_down.weight": torch.ones(0, 64)}, "has no rank"),
            ({"lora_up.weight": torch.ones(64, 2, dtype=torch.int32)}, "as I32, which no weights are"),
            ({"alpha": torch.ones(3)}, "more than one alpha"),
        ],
    )
    def test_a_broken_one_says_what_is_wrong(self, change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
        tensors = self.pair() | {f"{self.key}.{part}": t for part, t in change.items()}
        with pytest.raises(ModelUnusable, match=complaint):
            fitted(tmp_path, {name: t for name, t in tensors.items() if t is not None})

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @pytest.mark.parametrize("part", ["lora_up.weight", "alpha"])
    def test_numbers_that_are_none_are_refused_and_named(self, part: str, bad: float, tmp_path: Path) -> None:
        tensors = self.pair() | {f"{self.key}.alpha": torch.tensor(2.0)}
        tensors[f"{self.key}.{part}"] = torch.full_like(tensors[f"{self.key}.{part}"], bad)
        made = changed(tmp_path, tensors, Family.SD1, Strength())
        with pytest.raises(ModelUnusable, match=f"numbers that are none, in {self.key}.{part}"):
            made.on_original(PLACES[Family.SD1][0], original(Family.SD1)[PLACES[Family.SD1][0]])

    def test_an_alpha_beyond_all_reason_is_refused_and_none_at_all_is_the_rank(self, tmp_path: Path) -> None:
        name = PLACES[Family.SD1][0]
        weight = original(Family.SD1)[name]
        loud = self.pair() | {f"{self.key}.alpha": torch.tensor(1e30)}
        with pytest.raises(ModelUnusable, match="has an alpha of 1e\\+30 at rank 2"):
            changed(tmp_path, loud, Family.SD1, Strength()).on_original(name, weight)
        silent = self.pair() | {f"{self.key}.alpha": torch.tensor(0.0)}
        assert torch.equal(changed(tmp_path, silent, Family.SD1, Strength()).on_original(name, weight), weight)
        plain = changed(tmp_path, self.pair(), Family.SD1, Strength()).on_original(name, weight)
        torch.testing.assert_close(plain, weight + 2)

    @pytest.mark.parametrize("strength", [float("nan"), float("inf"), 11.0, -1e30])
    def test_a_strength_beyond_all_reason_is_refused(self, strength: float) -> None:
        with pytest.raises(InvalidRequest, match="cannot be used at"):
            check_strength(Strength(strength), "lora")

    def test_what_is_no_lora_is_said_to_be_none(self, tmp_path: Path) -> None:
        (tmp_path / "lora.safetensors").write_bytes(b"nonsense")
        with pytest.raises(EaselError, match="The LoRA 'lora' "):
            read_lora(tmp_path / "lora.safetensors", "lora")
        with pytest.raises(ModelUnusable, match="holds nothing of a LoRA"):
            read_lora(file(tmp_path, {"conv": torch.ones(3)}), "lora")

    def test_a_bias_for_a_module_that_has_none_is_told(self, tmp_path: Path) -> None:
        made = fitted(tmp_path, {**self.pair(), f"{self.key.replace('to_k', 'to_q')}.diff_b": torch.ones(64)})
        assert made.unmatched == (self.key.replace("to_k", "to_q"),)

    def test_a_bias_of_another_width_and_a_rank_of_nothing_are_said_to_be_wrong(self, tmp_path: Path) -> None:
        tensors = {"lora_unet_conv_in.diff_b": torch.ones(5)}
        made = changed(tmp_path, tensors, Family.SD1, Strength())
        with pytest.raises(ModelUnusable, match="has parts that do not fit each other, at lora_unet_conv_in"):
            made.on_original(f"{UNET}input_blocks.0.0.bias", torch.ones(64))
        empty = {f"{self.key}.hada_w{n}_{s}": torch.ones((64, 0) if s == "a" else (0, 64)) for n in "12" for s in "ab"}
        with pytest.raises(ModelUnusable, match="has no rank"):
            fitted(tmp_path, {**empty, f"{self.key}.alpha": torch.tensor(1.0)})


def test_pefts_magnitudes_are_of_rows_whatever_their_shape(tmp_path: Path) -> None:
    """Of a square convolution PEFT keeps (1, out, 1, 1), which old LyCORIS means otherwise."""
    name, module = CONVOLUTION
    weight = original(Family.SD1)[name]
    parts = loras.KINDS["DoRA"](tuple(weight.shape), torch.Generator().manual_seed(1))
    keys = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}
    tensors = {f"unet.{module}.{keys[part]}": parts[part] for part in keys}
    for shape in ((1, -1, 1, 1), (-1,)):
        magnitudes = {f"unet.{module}.lora_magnitude_vector.weight": parts["dora_scale"].reshape(shape)}
        made = changed(tmp_path, {**tensors, **magnitudes}, Family.SD1, Strength())
        plain = {part: t for part, t in parts.items() if part != "alpha"}
        expected = loras.expected(weight, None, plain, 1.0).weight
        np.testing.assert_allclose(made.on_original(name, weight.float()).numpy(), expected, rtol=1e-4, atol=2e-5)


def test_the_projection_of_the_second_text_encoder_is_found_by_its_usual_names() -> None:
    table = targets(original(Family.SDXL), Family.SDXL)
    weight = "conditioner.embedders.1.model.text_projection"
    for name in ("lora_te2_text_projection", "text_encoder_2.text_projection"):
        assert table[name].weight == weight
