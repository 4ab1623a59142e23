"""Low-rank adapters (Hu et al. 2021, eq. 3): W + (alpha / rank) B A, trained beside a frozen UNet, kept as kohya does.

A file in kohya's layout holds three tensors a module, named after the module's path with `_` in place of `.`:
`lora_unet_PATH.lora_down.weight` (A), `.lora_up.weight` (B) and `.alpha`.
"""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor

# Of every transformer block, as kohya's `lora_unet` network has them: attention, feed-forward, and the way in and out.
TARGETS = r".*attentions.*\.(to_q|to_k|to_v|to_out\.0|proj|ff\.net\.2|proj_in|proj_out)"


def add_lora(unet: UNet2DConditionModel, rank: int, alpha: float) -> None:
    """Freeze `unet` and give it adapters that change nothing yet."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS))


def kohya_tensors(unet: UNet2DConditionModel, alpha: float) -> dict[str, Tensor]:
    """The adapters of `unet` under kohya's names, fp16."""
    tensors: dict[str, Tensor] = {}
    for name, weight in unet.named_parameters():
        path, _, factor = name.partition(".lora_")
        if factor:
            key = f"lora_unet_{path.replace('.', '_')}"
            side = "lora_down" if factor.startswith("A") else "lora_up"
            tensors[f"{key}.{side}.weight"] = weight.detach().half().contiguous().cpu()
            tensors[f"{key}.alpha"] = torch.tensor(alpha, dtype=torch.float16)
    return tensors


def save_lora(file: Path, unet: UNet2DConditionModel, *, rank: int, alpha: float, title: str) -> None:
    """Write the adapters of `unet`, with the metadata that tools for LoRAs look for."""
    file.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "modelspec.title": title,
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "ss_base_model_version": "sd_v1",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": f"{alpha:g}",
        "ss_output_name": file.stem,
        "ss_v2": "False",
    }
    save_file(kohya_tensors(unet, alpha), file, metadata)
