"""Hugging Face's names: models in the local cache, and which files of a repository make a model. No network here."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.error import InvalidRequest, ModelUnusable

HUB = "https://huggingface.co"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
INDEX = "model_index.json"
TEXTS = (".json", ".txt")
WEIGHTS = ".safetensors"
HALVES = f".fp16{WEIGHTS}"


def endpoint() -> str:
    """Where the hub is: HF_ENDPOINT names a mirror."""
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def cache_folder() -> Path:
    """Where Hugging Face's programs keep what they fetched."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def cached(repository: str) -> Path | None:
    """The latest snapshot of `author/model` in the cache; None when there is none."""
    if not REPOSITORY.fullmatch(repository):
        return None
    kept = cache_folder() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (kept / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    snapshot = kept / "snapshots" / revision
    return snapshot if re.fullmatch(r"[0-9a-f]{6,64}", revision) and snapshot.is_dir() else None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file somewhere else."""

    url: str
    path: str
    """Where it belongs, with forward slashes: a name, or a path below a model's folder."""
    size: int | None = None
    sha256: str | None = None


def files_of(listing: Mapping[str, Any], repository: str, file: str = "") -> list[RemoteFile]:
    """What must be fetched of a repository, from the hub's listing of it; `file`: only this one.

    A diffusers model: the parts that its index names, in halves where there are any. Raises ModelUnusable when the
    repository holds no model, InvalidRequest when it holds several and none was named.
    """
    found = {str(one["rfilename"]): one for one in listing["siblings"]}
    if file:
        if file not in found:
            raise InvalidRequest(f"{repository} has no file {file!r}", fix="check the name on its page", field="model")
        names: Sequence[str] = [file]
    elif INDEX in found:
        names = _parts(list(found))
    else:
        names = [name for name in found if name.endswith(WEIGHTS) and "/" not in name]
        if not names:
            raise ModelUnusable(f"{repository} holds no safetensors", fix="choose another repository", field="model")
        if len(names) > 1:
            offers = ", ".join(f"{repository}/{name}" for name in names[:5])
            raise InvalidRequest(f"{repository} holds several models", fix=f"name one: {offers}", field="model")
    base = f"{endpoint()}/{repository}/resolve/{listing['sha']}"
    return [
        RemoteFile(f"{base}/{name}", name, found[name].get("size"), (found[name].get("lfs") or {}).get("sha256"))
        for name in names
    ]


def _parts(names: Sequence[str]) -> list[str]:
    """The index, and of each folder the configs and the weights, those in halves rather than in full."""
    weights = [name for name in names if name.endswith(WEIGHTS) and "non_ema" not in name and name.count("/") == 1]
    halves = {name.removesuffix(HALVES) for name in weights if name.endswith(HALVES)}
    chosen = [name for name in weights if name.endswith(HALVES) or name.removesuffix(WEIGHTS) not in halves]
    texts = [name for name in names if name.endswith(TEXTS) and name.count("/") == 1]
    return [INDEX, *texts, *chosen]
