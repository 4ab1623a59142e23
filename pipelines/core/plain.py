"""The base of values that people fill in: frozen, and what is wrong with one is said in words."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipelines.core.error import InvalidRequest


class Plain(BaseModel):
    """Making one that cannot be raises InvalidRequest, never pydantic's own error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def explain(cls, error: ErrorDetails) -> InvalidRequest:
        """`problem; fix` for the first thing pydantic found wrong."""
        where = ".".join(map(str, error["loc"])) or cls.__name__.lower()
        return InvalidRequest(f"{where}: {error['msg']}", fix="correct it", field=where.split(".")[0])

    @model_validator(mode="wrap")
    @classmethod
    def _speak_plainly(cls, data: Any, handler: Any) -> Self:
        try:
            made: Self = handler(data)
        except ValidationError as error:
            raise cls.explain(error.errors()[0]) from None
        return made
