"""Whether the factors of a LoRA fit each other, told from its header."""

from collections.abc import Iterator

from pipelines.models.headers import Header

PAIRS = (
    (".lora_down.weight", ".lora_up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
)
"""How the two factors of one module are called, whatever the trainer."""


def lora_faults(header: Header) -> Iterator[str]:
    """What is wrong with it, a sentence each, to be read after its name."""
    for down_name, up_name in PAIRS:
        for name, down in header.tensors.items():
            if not name.endswith(down_name):
                continue
            module = name.removesuffix(down_name)
            up = header.tensors.get(module + up_name)
            if up is None:
                yield f"lacks {module}{up_name}"
            elif not down.shape or len(up.shape) < 2 or not down.shape[0]:
                yield f"has no rank at {module}"
            elif up.shape[1] != down.shape[0]:
                yield f"has two ranks at {module}: {down.shape[0]} and {up.shape[1]}"
        orphans = (
            name
            for name in header.tensors
            if name.endswith(up_name) and name.removesuffix(up_name) + down_name not in header.tensors
        )
        yield from (f"lacks {name.removesuffix(up_name)}{down_name}" for name in orphans)
