"""Pickles: files that can run code when they are opened. Here they are told by their first bytes, and never opened."""

from pathlib import Path

ZIP, PROTOCOL, TAR = b"PK\x03\x04", b"\x80", b"ustar"
SAFETENSORS = b"\0\0\0\0{"
"""The upper half of a header's length, and its first character. Read as one, it can do no harm."""


def looks_like_pickle(path: Path) -> bool:
    """Whether the file at `path` is what torch.save writes, or wrote in its first years. Raises OSError.

    A safetensors file begins with the length of its header, and may so begin with the byte of a pickle.
    """
    with path.open("rb") as file:
        first = file.read(512)
    if first[4:9] == SAFETENSORS:
        return False
    return first.startswith((ZIP, PROTOCOL)) or first[257:262] == TAR
