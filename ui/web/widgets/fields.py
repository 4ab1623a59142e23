"""Form fields of our own: choice, number, size, seed, count, presets."""

import re
from typing import Any, ClassVar

from ui.web.answers import PresetOrder
from ui.web.widgets.panel import Panel

MAX_TYPED = 60
"""Characters of a number field."""
MAX_CHOSEN = 1000
"""Characters of a choice: a model's name may be a path."""

MOST_LORAS = 50
"""Of one job."""

MOST_HIRES = 20
"""Settings of a second pass."""

WHOLE = re.compile(r"[+-]?[0-9]+")


class Choice(Panel):
    """One of `choices`, label and value each, in the browser's own list.

    Whether a value can be used is judged by the request, which names the fix. `bare`: the label is only spoken.
    """

    script: ClassVar[str] = "choice.js"

    def accepts(self, payload: Any) -> bool:
        return isinstance(payload, str) and len(payload) <= MAX_CHOSEN


class ModelPicker(Choice):
    """One of many models, `choices` with `{name, group, note}` each: searched by typing, grouped.

    `none`: what it means that none is chosen, where that may be. Event: `outdated`, others may be offered by now.
    """

    script: ClassVar[str] = "picker.js"


class Loras(Panel):
    """The LoRAs of a job, `{name, unet, text, blocks}` each, with how each fits the `model` of the form."""

    script: ClassVar[str] = "loras.js"

    def accepts(self, payload: Any) -> bool:
        # What each holds is judged by the request, which says what is wrong.
        return (
            isinstance(payload, list) and len(payload) <= MOST_LORAS and all(isinstance(one, dict) for one in payload)
        )


class HiresFold(Panel):
    """The second pass, `{factor, upscaler, strength, steps, ...}`, or None: none; `choices`: the upscalers there are.

    What it holds is judged by the request.
    """

    script: ClassVar[str] = "hires.js"

    def accepts(self, payload: Any) -> bool:
        return isinstance(payload, dict) and len(payload) <= MOST_HIRES


class NumberField(Panel):
    """A number between `limits`, with a slider where `drag` gives a handy range. Other text is passed on as typed.

    A whole number that JavaScript cannot hold comes as text.
    """

    script: ClassVar[str] = "number.js"

    def preprocess(self, payload: Any) -> Any:
        taken = super().preprocess(payload)
        return int(taken) if isinstance(taken, str) and WHOLE.fullmatch(taken) else taken

    def accepts(self, payload: Any) -> bool:
        number = isinstance(payload, int | float) and not isinstance(payload, bool)
        return number or (isinstance(payload, str) and len(payload) <= MAX_TYPED)


class SizeShapes(Panel):
    """The size as drawn shapes; shows `{model, width, height}` and offers `sizes[model]`."""

    script: ClassVar[str] = "shapes.js"

    def accepts(self, payload: Any) -> bool:
        return isinstance(payload, dict) and payload.keys() <= {"model", "width", "height"}


class FreshSeed(Panel):
    """Whether every job draws a new seed (the value), and a button that takes the last one again."""

    script: ClassVar[str] = "seed.js"

    def accepts(self, payload: Any) -> bool:
        return isinstance(payload, bool)


class Presets(Panel):
    """Chooses, saves and deletes presets of whole settings; the value is a `PresetOrder`."""

    script: ClassVar[str] = "presets.js"

    def preprocess(self, payload: Any) -> PresetOrder:
        return PresetOrder.model_validate(payload)


class GenerateBar(Panel):
    """The foot of the column: count (the value) and Generate. Events: `run`, `fill` (the form sets its fields)."""

    script: ClassVar[str] = "bar.js"

    def accepts(self, payload: Any) -> bool:
        return isinstance(payload, int) and not isinstance(payload, bool)
