"""The `parameters` text that A1111 and its relatives write into pictures and read from them.

Layout: the prompt, a line `Negative prompt: ...`, and one line `Key: value, Key: value`. It is a courtesy to other
programs; the exact request stands beside it, in the picture's own `easel` chunk.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.core.error import EaselError
from pipelines.core.program import program
from pipelines.core.request import LATENT, GenerateRequest, read_generate
from pipelines.core.samplers import SAMPLERS, SCHEDULES

MAX_INFOTEXT = 65_536
"""Characters read; what follows is ignored. Longer texts are no settings."""

NEGATIVE = "Negative prompt:"


def infotext(request: GenerateRequest, seed: int) -> str:
    """The `parameters` text of the picture that `request` made with `seed`."""
    settings = {
        "Steps": request.steps,
        "Sampler": SAMPLERS.find(request.sampler).label,
        "Schedule type": SCHEDULES.find(request.schedule).label,
        "CFG scale": f"{request.cfg:g}",
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model": request.model,
        "VAE": request.vae or None,
        "LoRAs": "; ".join(f"{one.name} {one.unet:g} {one.text:g}" for one in request.loras) or None,
        **_hires_settings(request),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        "RNG": "CPU",  # our noise is drawn on the CPU; A1111 assumes a GPU when this is missing
        "Version": program(),
    }
    line = ", ".join(f"{key}: {_quoted(str(value))}" for key, value in settings.items() if value is not None)
    negative = f"{NEGATIVE} {request.negative_prompt}" if request.negative_prompt else ""
    return "\n".join(part for part in (request.prompt, negative, line) if part).strip()


def _hires_settings(request: GenerateRequest) -> dict[str, Any]:
    """As AUTOMATIC1111 names what it calls Hires. fix."""
    if (hires := request.hires) is None:
        return {}
    return {
        "Denoising strength": f"{hires.strength:g}",
        "Hires upscale": f"{hires.factor:g}",
        "Hires steps": hires.steps or None,
        "Hires upscaler": HIRES_UPSCALERS.get(hires.upscaler, hires.upscaler),
        "Hires sampler": hires.sampler and SAMPLERS.find(hires.sampler).label,
        "Hires CFG Scale": None if hires.cfg is None else f"{hires.cfg:g}",
        "Hires prompt": hires.prompt or None,
        "Hires negative prompt": hires.negative_prompt or None,
    }


HIRES_UPSCALERS: Mapping[str, str] = {
    "lanczos": "Lanczos",
    "bicubic": "Bicubic",
    "nearest": "Nearest",
    LATENT: "Latent",
}
"""What the field calls those that are no networks."""


def extended(text: str, settings: Mapping[str, object]) -> str:
    """An infotext with more `Key: value` at its end; those that are None are left out."""
    more = ", ".join(f"{key}: {_quoted(str(value))}" for key, value in settings.items() if value is not None)
    if not more:
        return text
    joint = ", " if read_infotext(text).settings else "\n"
    return f"{text}{joint}{more}" if text else more


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(c in value for c in ",\n:") else value


@dataclass(frozen=True)
class Infotext:
    """A `parameters` text taken apart. Everything in it is somebody else's text: data, never trusted."""

    prompt: str
    negative_prompt: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The last line's keys and values, in their order, as written."""


def read_infotext(text: str) -> Infotext:
    """Take `text` apart; any text has an answer (at worst, all of it is prompt). Linear in its length."""
    *lines, last = text[:MAX_INFOTEXT].strip().split("\n")
    settings = dict(_pairs(last))
    if len(settings) < 3:  # the field's own rule for "this is not a line of settings"
        lines, settings = [*lines, last], {}
    prompt: list[str] = []
    negative: list[str] | None = None
    for line in (line.strip() for line in lines):
        if negative is None and line.startswith(NEGATIVE):
            negative = [line.removeprefix(NEGATIVE).strip()]
        else:
            (prompt if negative is None else negative).append(line)
    return Infotext("\n".join(prompt).strip(), "\n".join(negative or ()).strip(), settings)


_KEY = re.compile(r"\w[\w \-/]+")
_QUOTED = re.compile(r'\s*("(?:\\.|[^"\\])*")')


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    at, colon = 0, -1
    while True:
        colon = line.find(":", at) if colon < at else colon
        if colon < 0:
            return
        comma = line.find(",", at, colon)
        if comma >= 0:  # a value of its own, without a key
            at = comma + 1
            continue
        key, quoted = line[at:colon].strip(), _QUOTED.match(line, colon + 1)
        end = line.find(",", quoted.end() if quoted else colon)
        end = len(line) if end < 0 else end
        if _KEY.fullmatch(key):
            yield key, _unquoted(quoted[1]) if quoted else line[colon + 1 : end].strip()
        at = end + 1


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


@dataclass(frozen=True)
class Restored:
    """Request fields taken from an infotext, and the settings that could not be taken."""

    fields: Mapping[str, Any]
    dropped: tuple[str, ...]
    """`Key: value` of what this studio does not know or cannot do."""


def restore(text: str) -> Restored:
    """The request fields that `text` speaks of: each one alone valid, and all of them together."""
    info = read_infotext(text)
    fields: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in (("prompt", info.prompt), ("negative_prompt", info.negative_prompt)):
        if value:
            (fields.update({name: value}) if _works({name: value}) else dropped.append(name))
    settings = dict(info.settings)
    hires = {key: settings.pop(key) for key in HIRES_READERS if key in settings} if _is_hires(settings) else {}
    for key, value in settings.items():
        if key in ("RNG", "Version"):
            continue
        found = _field(key, value)
        if found and _works({**fields, **found}):
            fields |= found
        else:
            dropped.append(f"{key}: {value}"[:200])
    for key, value in hires.items():
        found = {**fields.get("hires", {}), **HIRES_READERS[key](value, fields)}
        if found != fields.get("hires") and "factor" in found and _works({**fields, "hires": found}):
            fields["hires"] = found
        else:
            dropped.append(f"{key}: {value}"[:200])
    return Restored(fields, tuple(dropped[:100]))


def _is_hires(settings: Mapping[str, str]) -> bool:
    """Whether they speak of a second pass: a strength alone is one of image to image."""
    return any(HIRES_READERS[key](settings[key], {"width": 8, "height": 8}) for key in HIRES_SIZES if key in settings)


def _works(fields: Mapping[str, Any]) -> bool:
    try:
        read_generate(fields)
    except EaselError:
        return False
    return True


def _field(key: str, value: str) -> dict[str, Any]:
    """The request fields that one setting means; empty for one we do not have or cannot read."""
    read = READERS.get(key)
    return read(value) if read else {}


def _sampler(value: str) -> dict[str, Any]:
    """Before A1111 1.9 the schedule was part of the sampler's name: `DPM++ 2M Karras`."""
    for schedule in ("Karras", "Exponential"):
        if value.endswith(f" {schedule}"):
            return {"sampler": value.removesuffix(f" {schedule}"), "schedule": schedule.lower()}
    return {"sampler": value}


def _size(value: str) -> dict[str, Any]:
    sides = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", value)
    return {"width": int(sides[1]), "height": int(sides[2])} if sides else {}


def _loras(value: str) -> dict[str, Any]:
    """`glow 0.8 0.8; snow 1 0.5`: name, UNet, text encoder."""
    found = [re.fullmatch(r"(.+) (-?[0-9.]{1,8}) (-?[0-9.]{1,8})", one.strip()) for one in value.split(";")]
    try:
        chosen = [{"name": one[1], "unet": float(one[2]), "text": float(one[3])} for one in found if one]
    except ValueError:
        return {}
    return {"loras": chosen} if len(chosen) == len(found) else {}


def _whole(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda value: {name: int(value)} if re.fullmatch(r"[0-9]{1,12}", value) else {}


def _number(name: str) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    return lambda value, _: {name: float(value)} if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", value) else {}


def _resized(value: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """`1024x1536`: a scale of both sides, of what is known of the first size."""
    sides, first = _size(value), (fields.get("width", 0), fields.get("height", 0))
    if not (sides and all(first) and (sides["width"] or sides["height"])):
        return {}
    return {"factor": round(max(sides["width"] / first[0], sides["height"] / first[1]), 4)}


def _upscaler(value: str, _: Mapping[str, Any]) -> dict[str, Any]:
    """`Latent (bicubic)` and its relatives are all `latent` here."""
    names = {label.casefold(): name for name, label in HIRES_UPSCALERS.items()}
    name = LATENT if value.casefold().startswith("latent") else names.get(value.casefold(), value)
    return {"upscaler": name}


HIRES_SIZES = ("Hires upscale", "Hires resize")
HIRES_READERS: Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "Hires upscale": _number("factor"),
    "Hires resize": _resized,
    "Denoising strength": _number("strength"),
    "Hires upscaler": _upscaler,
    "Hires steps": lambda value, _: _whole("steps")(value),
    "Hires sampler": lambda value, _: {"sampler": value},
    "Hires CFG Scale": _number("cfg"),
    "Hires prompt": lambda value, _: {"prompt": value},
    "Hires negative prompt": lambda value, _: {"negative_prompt": value},
}
"""What the field writes of a second pass, the size first, and how each is read; the fields known before are told."""

READERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "Steps": _whole("steps"),
    "LoRAs": _loras,
    "Sampler": _sampler,
    "Schedule type": lambda value: {"schedule": value},
    "CFG scale": lambda value: {"cfg": float(value)} if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", value) else {},
    "Seed": _whole("seed"),
    "Size": _size,
    "Model": lambda value: {"model": value},
    "VAE": lambda value: {"vae": value},
    "Clip skip": _whole("clip_skip"),
}
"""The settings of the field that we have too, and how each is read."""
