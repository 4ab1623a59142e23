"""What diffusers and PEFT make of the same LoRA is what we make of it."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from pipelines.core.blocks import blocks_of
from pipelines.core.model import Family
from pipelines.models.lora.adapters import changed
from pipelines.models.lora.changes import changes_of
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.fit import fit, model_of
from pipelines.models.lora.names import Part, targets, written
from pipelines.models.lora.strength import Strength
from tests.models import loras
from tests.models.synthetic import networks, stock_pipeline


@pytest.mark.parametrize("kind", ["LoRA", "LoRA without alpha"])
@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL], ids=str)
def test_fused_weights_are_the_same(family: Family, kind: str, tmp_path: Path) -> None:
    made = networks(family, small=True, seed=3)
    original = {name: tensor.clone() for name, tensor in made.original().items()}
    table = targets(original, family)
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    chosen = []
    for target in dict.fromkeys(table.values()):
        weight = original[target.weight]
        is_layer = weight.ndim >= 2 and (
            "attn" in target.module or "self_attn" in target.module or "mlp" in target.module
        )
        if not is_layer or target.weight.endswith("in_proj_weight"):
            continue
        key = written(target, family)
        parts = loras.KINDS[kind](tuple(weight.shape), generator)
        tensors |= {f"{key}.{part}": t for part, t in parts.items()}
        chosen.append(target)
    assert {target.part for target in chosen} == {Part.UNET, Part.TEXT}
    file = tmp_path / "lora.safetensors"
    save_file({name: t.contiguous() for name, t in tensors.items()}, file)
    pipe = stock_pipeline(networks(family, small=True, seed=3))
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name, local_files_only=True)
    components = ["unet", "text_encoder", *(["text_encoder_2"] if family is Family.SDXL else [])]
    pipe.fuse_lora(components=components, lora_scale=1.0)
    pipe.unload_lora_weights()
    try:
        model = model_of("model", family, {name: tuple(t.shape) for name, t in original.items()})
        changes = changes_of([(fit(read_lora(file, "lora"), model), Strength())], blocks_of(family))
        networks_of = {Part.UNET: [pipe.unet], Part.TEXT: [pipe.text_encoder, getattr(pipe, "text_encoder_2", None)]}
        for target in chosen[:: max(1, len(chosen) // 60)]:
            network = networks_of[target.part][target.tower]
            module = network.get_submodule(
                target.module.removeprefix("" if hasattr(network, "text_model") else "text_model.")
            )
            ours = changes.on_original(target.weight, original[target.weight].float())
            torch.testing.assert_close(module.weight.data, ours, rtol=1e-4, atol=1e-5, msg=target.weight)
    finally:
        networks.cache_clear()  # diffusers changed these in place


@pytest.mark.parametrize("layer", [torch.nn.Linear(12, 16), torch.nn.Conv2d(12, 16, 3)], ids=["matrix", "convolution"])
def test_peft_decomposes_weights_as_we_do(layer: torch.nn.Linear | torch.nn.Conv2d) -> None:
    holder = torch.nn.Sequential(layer)
    weight = layer.weight.detach().clone()
    parts = loras.KINDS["DoRA"](tuple(weight.shape), torch.Generator().manual_seed(0))
    config = LoraConfig(r=loras.RANK, lora_alpha=int(loras.ALPHA), use_dora=True, target_modules=["0"])
    model = get_peft_model(holder, config)
    inside = model.base_model.model[0]
    inside.lora_A["default"].weight.data = parts["lora_down.weight"]
    inside.lora_B["default"].weight.data = parts["lora_up.weight"]
    vector = inside.lora_magnitude_vector["default"].weight
    vector.data = parts["dora_scale"].reshape(vector.shape)
    theirs = model.merge_and_unload()[0].weight
    ours = changed(weight, {"up": parts["lora_up.weight"], "down": parts["lora_down.weight"], "alpha": parts["alpha"],
                            "dora": parts["dora_scale"]}, 1.0)  # fmt: skip
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-5)
