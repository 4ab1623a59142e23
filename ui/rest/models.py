"""What can be chosen, over HTTP: models, samplers, schedules and the request's own schema."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from pipelines.core.request import GenerateRequest
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from pipelines.models.scan import ModelLibrary


def routes(models: ModelLibrary) -> APIRouter:
    """`/api/models`, `/api/samplers`, `/api/schema`."""
    router = APIRouter(prefix="/api", tags=["models"])

    @router.get("/models")
    def every_model() -> list[dict[str, Any]]:
        # Where a model lies on this machine is nobody's business on the network.
        return [info.model_dump(exclude={"path", "vae_from", "text_from"}) for info in models.list()]

    @router.get("/samplers")
    def samplers() -> dict[str, list[dict[str, Any]]]:
        return {"samplers": [asdict(s) for s in SAMPLERS], "schedules": [asdict(s) for s in SCHEDULES]}

    @router.get("/schema")
    def schema() -> dict[str, Any]:
        return GenerateRequest.model_json_schema()

    return router
