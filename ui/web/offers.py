"""What the form offers and begins with: models, sizes, schedules, presets, as plain data for the page."""

from typing import Any

from pipelines.core.model import Family, Kind, ModelInfo
from pipelines.core.request import LATENT, GenerateRequest
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from pipelines.core.upscale import Resampler
from ui.web.services import WebServices
from ui.web.sizes import sizes
from ui.web.words import Words


def first_value(name: str) -> Any:
    """What a field holds before anybody touched it: the request's own default."""
    return GenerateRequest.model_fields[name].default


def first_model(services: WebServices) -> ModelInfo | None:
    """The model a new page begins with: the one chosen for it, else the request's default, else any that can paint.

    A hidden one only if no other can.
    """
    by_name = {model.name: model for model in [m for m in _shown(services) if _can_paint(m)] or usable(services)}
    wanted = [name for name in (services.shelf.default, first_value("model"), *by_name) if name in by_name]
    return by_name[wanted[0]] if wanted else None


def first_name(services: WebServices) -> str | None:
    """What that model is called."""
    first = first_model(services)
    return first.name if first else None


def first_size(services: WebServices) -> tuple[int, int]:
    """The native size of the first model."""
    model = first_model(services)
    return (model.native_size, model.native_size) if model else (first_value("width"), first_value("height"))


def usable(services: WebServices) -> list[ModelInfo]:
    """The models that can paint."""
    return [model for model in services.models.list() if _can_paint(model)]


def _can_paint(model: ModelInfo) -> bool:
    return model.paints and model.problem is None


def model_choices(services: WebServices, words: Words) -> list[dict[str, str]]:
    """Every model that is not hidden, by family; those that cannot paint are last, and say why once they are chosen."""
    shown = [model for model in _shown(services) if model.paints]
    place = {family: k for k, family in enumerate(Family)}
    told = [(model, model.family) for model in shown if model.problem is None and model.family is not None]
    told.sort(key=lambda one: (not one[0].starter, place[one[1]]))
    broken = [model for model in shown if model.problem is not None or model.family is None]
    return [
        *(_choice(model, str(family), words("models.starter") if model.starter else "") for model, family in told),
        *(_choice(model, words("model.unusable"), "") for model in broken),
    ]


def vae_choices(services: WebServices) -> list[dict[str, str]]:
    """Every VAE that stands alone."""
    alone = [model for model in _shown(services) if model.kind is Kind.VAE and model.problem is None]
    return [_choice(model, str(model.family or ""), "") for model in alone]


def lora_choices(services: WebServices) -> list[dict[str, str]]:
    """Every LoRA that is not hidden, by family."""
    found = [model for model in _shown(services) if model.kind is Kind.LORA and model.problem is None]
    place = {family: k for k, family in enumerate(Family)}
    found.sort(key=lambda one: (not one.starter, place[one.family] if one.family else len(place)))
    return [_choice(model, str(model.family or ""), ", ".join(model.triggers[:3])) for model in found]


def hires_choices(services: WebServices, words: Words) -> list[dict[str, str]]:
    """What a second pass can be enlarged by: resamplers, latents, and networks that are not hidden."""
    found = [one for one in _shown(services) if one.kind is Kind.UPSCALER and one.problem is None]
    plain = [{"name": name, "group": ""} for name in (*Resampler, LATENT)]
    return [*plain, *({"name": one.name, "group": words("upscale.group.network")} for one in found)]


def _choice(model: ModelInfo, group: str, note: str) -> dict[str, str]:
    return {"name": model.name, "group": group, "note": note}


def _shown(services: WebServices) -> list[ModelInfo]:
    """The models that nobody hid."""
    notes = services.shelf.notes()
    return [model for model in services.models.list() if not (model.path in notes and notes[model.path].hidden)]


def model_sizes(services: WebServices) -> dict[str, list[dict[str, Any]]]:
    """The sizes each model is offered in; also one that is damaged just now, and may be whole again in a moment."""
    asked = [model for model in services.models.list() if model.paints or model.damaged]
    usual = first_size(services)[0]
    return {model.name: [size._asdict() for size in sizes(model.native_size or usual)] for model in asked}


def schedules(sampler: str, schedule: str) -> dict[str, Any]:
    """The schedules a sampler can follow, as the drop-down's choices; a present one that it cannot gives way."""
    choices = [(s.label, s.key) for s in SCHEDULES if s.key in SAMPLERS.find(sampler).schedules]
    kept = schedule in {key for _, key in choices}
    return {"choices": choices, "value": schedule if kept else choices[0][1]}


def presets(services: WebServices) -> list[dict[str, Any]]:
    """Every preset, those that ship with Easel first."""
    return [
        {
            "name": preset.name,
            "meaning": preset.meaning,
            "own": not preset.factory,
            "values": preset.settings,
            "version": preset.version,
        }
        for preset in services.presets.list()
    ]
