"""Pickles: files that can run code when they are opened. Here they are told by their first bytes, and never opened."""

from pathlib import Path

ZIP, PROTOCOL, TAR = b"PK\x03\x04", b"\x80", b"ustar"


def looks_like_pickle(path: Path) -> bool:
    """Whether the file at `path` is what torch.save writes, or wrote in its first years. Raises OSError."""
    with path.open("rb") as file:
        first = file.read(512)
    return first.startswith((ZIP, PROTOCOL)) or first[257:262] == TAR
