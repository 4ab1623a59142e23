"""How LoRAs fit models, before anybody paints with them."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter

from pipelines.models.lora.file import read_lora
from pipelines.models.lora.fit import fit, warnings
from pipelines.models.lora.known import model_in
from pipelines.models.opening import blueprint_of
from pipelines.models.scan import ModelLibrary


def routes(models: ModelLibrary) -> APIRouter:
    """`/api/loras/fit`."""
    router = APIRouter(prefix="/api/loras", tags=["loras"])

    @router.get("/fit")
    def fit_of(lora: str, model: str) -> dict[str, Any]:
        info, subject = models.lora(lora), models.usable(model)
        fitted = fit(read_lora(Path(info.path), info.name), model_in(blueprint_of(subject), subject.name))
        return {**fitted.report, "notes": list(warnings(fitted)), "triggers": info.triggers}

    return router
