"""What must be known of a model to put LoRAs on it, from its headers alone. No torch here: the page asks, too."""

from pipelines.models.blueprint import Blueprint, Network
from pipelines.models.lora.fit import Model
from pipelines.models.lora.names import TEXT_MODEL, Part, Target, every_name, targets
from pipelines.models.names import View

THIRDS = (View.QUERY, View.KEY, View.VALUE)


def model_in(blueprint: Blueprint, name: str) -> Model:
    """The model called `name`, whose networks `blueprint` describes."""
    table = targets(set(every_name(blueprint.family)), blueprint.family)
    shapes = {}
    for target in dict.fromkeys(table.values()):
        shape = _shape(blueprint, target)
        if shape is not None:
            shapes[target] = shape
    there = {spelled: target for spelled, target in table.items() if target in shapes}
    return Model(name, blueprint.family, there, shapes)


def _shape(blueprint: Blueprint, target: Target) -> tuple[int, ...] | None:
    """Of a module's weight, as the module has it; None: the model has no such module."""
    network = _network(blueprint, target)
    if network is None:
        return None
    module = target.module if target.part is Part.UNET else target.module.removeprefix(TEXT_MODEL)
    origin = network.part.origin(f"{module}.weight")
    entry = network.header.tensors.get(origin.name) if origin else None
    if entry is None or origin is None:
        return None
    shape = entry.shape
    if origin.view is View.TURNED:
        return shape[::-1]
    return (shape[0] // 3, *shape[1:]) if origin.view in THIRDS else shape


def _network(blueprint: Blueprint, target: Target) -> Network | None:
    if target.part is Part.UNET:
        return blueprint.unet
    return blueprint.towers[target.tower].network if target.tower < len(blueprint.towers) else None
