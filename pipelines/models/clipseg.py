"""CLIPSeg: CLIP's two towers and a small decoder (Lüddecke & Ecker 2022, Image Segmentation Using Text and Image
Prompts)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer, ViTImageProcessor

from pipelines.core.error import InvalidRequest
from pipelines.models.assemble import filled
from pipelines.models.segmenters import SegmenterPlan
from pipelines.models.tensors import OpenTensors


class ClipSeg:
    """Finds what a text names; a `Finder`."""

    def __init__(self, plan: SegmenterPlan) -> None:
        """Its weights are views into their file until somebody brings them elsewhere. Raises Misfit, OSError, ..."""
        drawn = plan.network
        config = CLIPSegConfig(**drawn.part.config)
        self._tokenizer = CLIPTokenizer.from_pretrained(plan.tokenizer, local_files_only=True)
        self._processor = ViTImageProcessor.from_dict(dict(plan.processor))
        self._seen(np.zeros((8, 8, 3), np.uint8))  # settings that cannot work show here, where the folder is at fault
        self._most_words: int = config.text_config.max_position_embeddings
        self.network: nn.Module = filled(
            lambda: CLIPSegForImageSegmentation(config), drawn.part, OpenTensors(drawn.file, drawn.header)
        )

    def __call__(self, picture: NDArray[np.uint8], text: str) -> Tensor:
        """As `Finder` says."""
        words = self._tokenizer(text, return_tensors="pt")
        if (said := words.input_ids.shape[1]) > self._most_words:
            raise InvalidRequest(
                f"The words are too long: {said} tokens, and the model reads {self._most_words}",
                fix="name what shall be covered in a few words", field="text",
            )  # fmt: skip
        weight = next(self.network.parameters())
        seen = self._seen(picture)
        with torch.inference_mode():
            logits: Tensor = self.network(
                input_ids=words.input_ids.to(weight.device), attention_mask=words.attention_mask.to(weight.device),
                pixel_values=seen.to(weight.device, weight.dtype),
            ).logits  # fmt: skip
        return logits.reshape(logits.shape[-2:]).float().cpu()

    def _seen(self, picture: NDArray[np.uint8]) -> Tensor:
        """(1, 3, height, width) float32: `picture` as the network was trained to see it."""
        read = self._processor(picture, return_tensors="pt", input_data_format="channels_last")
        seen: Tensor = read.pixel_values
        return seen
