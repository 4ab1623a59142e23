"""Who we are."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def program() -> str:
    """`Easel 0.1.0`: what pictures and models name as their maker."""
    try:
        return f"Easel {version('easel')}"
    except PackageNotFoundError:  # run from a bare copy of the sources
        return "Easel"
