"""Every language says everything, and nothing says what is never asked."""

import re
import string
from pathlib import Path
from typing import get_args

import pytest

from pipelines.core.error import UnknownName
from pipelines.core.inpaint import Area, Border, Content, Fit
from pipelines.core.kinds import KINDS, PAINTINGS
from pipelines.core.model import Kind
from pipelines.core.placement import Placement
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.upscale import Frame
from pipelines.jobs.fetching import State
from ui.web import words as module
from ui.web.tabs.generate import FOLDED
from ui.web.words import languages, read_words

WEB = Path(module.__file__).parent
SOURCES = [*WEB.rglob("*.py"), *(WEB / "assets").glob("*.js")]
WAYS = ("resample", "network", "redraw", "diffusion")
BUILT = {
    *(f"precision.{precision}" for precision in Precision),
    *(f"more.{name}" for name in FOLDED),
    *(f"{begin}.{kind}" for begin in ("work", "worked") for kind in KINDS if kind not in {*PAINTINGS, "sheet"}),
    *(f"bar.needs.{placement}" for placement in (Placement.TURNS, Placement.STREAMED)),
    *(f"kind.{kind.replace(' ', '_')}" for kind in Kind),
    *(f"models.{name}" for name in ("all", "checkpoint", "lora", "embedding", "vae", "upscaler", "problem", "hidden")),
    *(f"sheet.axis.{axis}" for axis in ("share", "block", "curve", "method", "seed", "prompt", "cfg", "models")),
    *(f"mixer.group.{group}" for group in ("base", "in", "mid", "out")),
    *(f"downloads.{state}" for state in get_args(State) if state != "failed"),
    *(f"canvas.{tool}" for tool in ("brush", "eraser", "rectangle", "lasso", "fill", "hand")),
    *(f"canvas.{side}" for side in Border.model_fields),
    *(f"canvas.view.{view}" for view in ("mask", "after", "difference")),
    *(f"canvas.scope.{scope}" for scope in ("painted", "else", "all")),
    *(
        f"canvas.{name}.{one}"
        for name, kind in (("content", Content), ("area", Area), ("fit_how", Fit))
        for one in kind
    ),
    *(f"upscale.way.{way}{more}" for way in WAYS for more in ("", ".hint")),
    *(f"upscale.none.{way}" for way in WAYS),
    *(f"upscale.group.{kind}" for kind in ("resampler", "network", "diffusion")),
    *(f"upscale.mode.{mode}" for mode in ("split", "side", "levels")),
    *(f"upscale.frame.{frame}" for frame in Frame),
    *(f"upscale.file.{state}" for state in ("waiting", "queued", "running", "done", "stopped")),
    *(f"field.{name}" for name in GenerateRequest.model_fields if name not in {"kind", "count"}),
}
"""Keys made from a name; the code does not spell them out."""


def asked_for() -> set[str]:
    """Every quoted thing in the sources that looks like a key of the table."""
    texts = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES)
    return set(re.findall(r"""['"]([a-z]+(?:\.[a-z_]+)+)['"]""", texts)) & {*read_words().table} | BUILT


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_same_keys_and_names(language: str) -> None:
    english, other = read_words("en").table, read_words(language).table
    assert list(other) == list(english)
    for key, text in english.items():
        assert names_in(other[key]) == names_in(text), key
        assert other[key].strip()


def names_in(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


def test_every_key_in_the_table_is_used_and_every_used_key_is_there() -> None:
    assert asked_for() == set(read_words().table)
    spoken = re.findall(r"""\b(?:say|words)\(\s*['"]([\w.]+)['"]""", "\n".join(f.read_text("utf-8") for f in SOURCES))
    assert set(spoken) <= set(read_words().table)


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="'de'"):
        read_words("dee")


def test_values_are_filled_in() -> None:
    assert read_words()("stage.step", step=3, steps=20) == "Step 3 of 20"
    assert read_words("de")("stage.step", step=3, steps=20) == "Schritt 3 von 20"
