import json
from pathlib import Path

import pytest

from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.presets import PRESETS, STARTER_MODELS, Preset, factory_presets, read_preset

FILES = sorted((PRESETS / "generate").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_factory_preset_sets_only_how_a_picture_is_made(file: Path) -> None:
    preset = factory_presets().find(json.loads(file.read_bytes())["name"])
    assert preset.factory
    assert preset.meaning
    assert not preset.settings.keys() & {"kind", "prompt", "negative_prompt", "model", "seed", "count"}


def test_factory_presets_keep_the_order_of_their_files() -> None:
    names = [preset.name for preset in factory_presets()]
    assert names == ["Quick sketch", "Balanced", "Fine", "Exact classic"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {"steps": 0}}', '{"settings": {}, "more": 1}'])
def test_a_preset_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_preset(Preset, text, name="Broken")


def test_a_preset_with_an_unknown_sampler_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Euler"):
        read_preset(Preset, '{"settings": {"sampler": "eular"}}', name="Broken")


def test_the_starter_models_are_there() -> None:
    assert (STARTER_MODELS / "flat" / "model_index.json").is_file()
