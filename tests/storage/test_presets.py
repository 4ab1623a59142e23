import json
from pathlib import Path

import pytest

from pipelines.core.block_presets import BlockPreset, block_presets
from pipelines.core.error import Conflict, InvalidRequest, UnknownName
from pipelines.core.presets import Preset, factory_presets
from pipelines.storage.presets import PresetStore


@pytest.fixture
def presets(tmp_path: Path) -> PresetStore[Preset]:
    return PresetStore(tmp_path / "presets", Preset, factory_presets())


def named(presets: PresetStore[Preset], name: str) -> Preset | None:
    return next((preset for preset in presets.list() if preset.name == name), None)


def test_a_preset_comes_back_as_it_was_saved(presets: PresetStore[Preset], tmp_path: Path) -> None:
    saved = presets.save(Preset(name="Mine", settings={"steps": 33, "sampler": "euler"}, meaning="for hills"))
    assert named(PresetStore(tmp_path / "presets", Preset, factory_presets()), "Mine") == saved


def test_factory_presets_come_first_and_the_users_follow_by_name(presets: PresetStore[Preset]) -> None:
    presets.save(Preset(name="zebra", settings={"steps": 1}))
    presets.save(Preset(name="Apple", settings={"steps": 1}))
    names = [preset.name for preset in presets.list()]
    assert names == [*(p.name for p in factory_presets()), "Apple", "zebra"]
    assert [p.factory for p in presets.list()] == [True] * len(factory_presets()) + [False, False]


def test_a_preset_can_be_replaced_by_who_saw_its_latest_version(presets: PresetStore[Preset]) -> None:
    first = presets.save(Preset(name="Mine", settings={"steps": 10}))
    second = presets.save(Preset(name="Mine", settings={"steps": 20}), version=first.version)
    assert (second.version, second.settings) == (2, {"steps": 20})
    assert named(presets, "Mine") == second


def test_the_second_of_two_pages_cannot_overwrite_the_first_unseen(presets: PresetStore[Preset]) -> None:
    seen_by_both = presets.save(Preset(name="Mine", settings={"steps": 10}))
    presets.save(Preset(name="Mine", settings={"steps": 20}), version=seen_by_both.version)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        presets.save(Preset(name="Mine", settings={"steps": 30}), version=seen_by_both.version)
    assert [preset.settings for preset in presets.list() if preset.name == "Mine"] == [{"steps": 20}]


def test_a_new_preset_cannot_take_a_name_also_not_in_other_case(presets: PresetStore[Preset]) -> None:
    presets.save(Preset(name="Mine", settings={"steps": 10}))
    for name in ("Mine", "MINE"):
        with pytest.raises(Conflict, match="There is a preset 'Mine' already"):
            presets.save(Preset(name=name, settings={"steps": 20}))


def test_factory_presets_cannot_be_replaced_or_deleted(presets: PresetStore[Preset]) -> None:
    with pytest.raises(Conflict, match="ships with Easel"):
        presets.save(Preset(name="balanced", settings={"steps": 1}))
    with pytest.raises(Conflict, match="ships with Easel"):
        presets.delete("Balanced")


def test_a_deleted_preset_is_gone_and_cannot_be_replaced(presets: PresetStore[Preset]) -> None:
    saved = presets.save(Preset(name="Mine", settings={"steps": 10}))
    presets.delete("mine")
    assert named(presets, "Mine") is None
    with pytest.raises(UnknownName):
        presets.delete("Mine")
    with pytest.raises(Conflict, match="was deleted meanwhile"):
        presets.save(Preset(name="Mine", settings={"steps": 20}), version=saved.version)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "CON", "a\u202eb"])
def test_names_that_would_leave_the_folder_are_refused(presets: PresetStore[Preset], name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        presets.save(Preset(name=name, settings={"steps": 1}))
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"step": 1}, {"cfg": float("nan")}, {"outdir": "/"}, {"__proto__": 1}]
)
def test_settings_that_cannot_work_are_refused(presets: PresetStore[Preset], settings: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        presets.save(Preset(name="Mine", settings=settings))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"settings": {"steps": NaN}}', b'{"settings": {"steps": 0}}',
     b'{"settings": {}, "version": ' + b"9" * 5000 + b"}", b'{"settings": {"sampler": "nonsense"}}', b"x" * 300_000],
)  # fmt: skip
def test_a_broken_file_is_left_out_left_alone_and_never_overwritten(
    presets: PresetStore[Preset], tmp_path: Path, content: bytes
) -> None:
    presets.save(Preset(name="Good", settings={"steps": 1}))
    broken = tmp_path / "presets" / "Broken.json"
    broken.write_bytes(content)
    assert [preset.name for preset in presets.list() if not preset.factory] == ["Good"]
    with pytest.raises(Conflict):
        presets.save(Preset(name="Broken", settings={"steps": 1}))
    assert broken.read_bytes() == content


def test_a_file_that_was_copied_by_hand_is_a_preset_by_its_new_name(
    presets: PresetStore[Preset], tmp_path: Path
) -> None:
    presets.save(Preset(name="Mine", settings={"steps": 10}))
    mine = tmp_path / "presets" / "Mine.json"
    (tmp_path / "presets" / "Copy.json").write_bytes(mine.read_bytes())
    assert [preset.settings for preset in presets.list() if preset.name == "Copy"] == [{"steps": 10}]
    assert json.loads(mine.read_bytes())["name"] == "Mine"


def test_block_weights_are_kept_by_the_same_rules(tmp_path: Path) -> None:
    kept = PresetStore(tmp_path, BlockPreset, block_presets())
    mine = kept.save(BlockPreset(name="Mine", sd=(0.25,) * 26))
    assert [one for one in kept.list() if not one.factory] == [mine]
    for taken in ("mine", "GRAD_V", "2smoothstep"):
        with pytest.raises(Conflict):
            kept.save(BlockPreset(name=taken, sd=(0.0,) * 26))
