"""Files written whole or not at all, and names that stay in their folder."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil

from pipelines.core.error import InvalidRequest, StorageProblem

OURS = ".easel-"
"""How every temporary file of ours begins: hidden, and told from other people's files."""

STALE_SECONDS = 3600
MAX_NAME_BYTES = 240


def atomic_write(path: Path, content: bytes | Callable[[BinaryIO], None], *, replace: bool = False) -> None:
    """Write `content` (bytes, or a function that writes them) to `path`. Raises as `whole_file`."""
    with whole_file(path, replace=replace) as file:
        file.write(content) if isinstance(content, bytes) else content(file)


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which is at `path`, whole and on disk, when the context ends well, or not at all.

    The folder is made if need be. Raises FileExistsError when `path` exists and may not be replaced, and
    StorageProblem when the disk is full or the folder cannot be written; nothing is left behind then.
    """
    temporary = path.with_name(f"{OURS}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    make_folder(path.parent)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path) if replace else _publish(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise storage_problem(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, unless it is there. Raises StorageProblem."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_problem(error, folder, verb="made") from error


def _publish(temporary: Path, path: Path) -> None:
    """Give the finished file its name, unless the name is taken: two writers never meet in one file."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # exFAT and some network folders know no links; there the name is looked up first, a moment apart.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    """The name itself survives a power cut (Windows does this by itself and opens no folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(folder: Path) -> int:
    """Bytes that are free where `folder` is, or will be."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def storage_problem(error: OSError, path: Path, *, verb: str = "saved") -> StorageProblem:
    """The error a person reads when `path` could not be `verb`."""
    what = f"{path.name} could not be {verb}"
    folder = path.parent.name or str(path.parent)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            problem, fix = f"The disk is full: {what}", "free some space, then try again"
        case errno.EFBIG:
            problem, fix = f"The file system takes no file this large: {what}", "choose a folder on another disk"
        case errno.EACCES | errno.EPERM:
            problem, fix = f"Easel may not write in {folder}: {what}", "allow it, or choose another folder with --data"
        case errno.EROFS:
            problem, fix = f"The folder {folder} is read-only: {what}", "choose another folder with --data"
        case errno.ENOENT | errno.ENOTDIR:
            problem, fix = f"The folder {folder} is not there: {what}", "make it again, or restart the studio"
        case _:
            problem, fix = f"{what}: {error.strerror or error}", "check the disk, then try again"
    return StorageProblem(problem, fix=fix, detail=f"{type(error).__name__}: {error}")


def sweep(folder: Path) -> int:
    """Remove what killed programs of ours left unfinished anywhere below `folder`; returns how many files or folders.

    A file is stale when the program that wrote it (its process id is in the name) is gone; one without after an hour.
    """
    swept = 0
    for left in list(folder.rglob(f"{OURS}*")):
        with contextlib.suppress(OSError):  # its writer was quicker, or it cannot be removed: no reason not to start
            if _is_stale(left):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
                swept += 1
    return swept


def _is_stale(file: Path) -> bool:
    written = file.stat().st_mtime
    writer = re.match(rf"{re.escape(OURS)}(\d+)-", file.name)
    if writer:
        return not _still_writes(int(writer[1]), written)
    return time.time() - written > STALE_SECONDS


def _still_writes(pid: int, written: float) -> bool:
    """Whether process `pid` may be the one that wrote a file at that time."""
    try:
        process = psutil.Process(pid)
        # A killed process keeps its number until its parent has looked; a number is given again after a while.
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def safe_name(text: str, *, noun: str = "name", field: str | None = None) -> str:
    """`text` as a name that is safe to be a file's on every system, in Unicode's composed form (NFC).

    Raises InvalidRequest, never repairs: a name that comes back changed is a name its owner cannot find.
    Two names are the same when their `casefold()` is.
    """
    name = unicodedata.normalize("NFC", text)
    wrong = _what_is_wrong(name)
    if wrong:
        raise InvalidRequest(f"The {noun} {_shown(text)} {wrong[0]}", fix=wrong[1], field=field)
    return name


SEPARATORS = '/\\:*?"<>|'
LOOK_ALIKES = "\u2044\u2215\u29f8\u29f5"
"""Slashes of other alphabets that NFKC leaves alone."""
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories: control, direction and zero-width characters, and what has no character at all."""
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9])\s*(\..*)?", re.IGNORECASE | re.DOTALL)


def _what_is_wrong(name: str) -> tuple[str, str] | None:
    """(what is wrong, what to do), or None."""
    # NFKC unmasks look-alikes: a fullwidth slash becomes a slash, three dots in one character become three.
    plain = unicodedata.normalize("NFKC", name)
    complaints = (
        (not name.strip(), "is empty", "write at least one letter"),
        (
            any(unicodedata.category(c) in UNSEEN for c in name),
            "holds characters that cannot be seen", "type it again by hand",
        ),
        (any(c in SEPARATORS + LOOK_ALIKES for c in plain), f"holds one of {SEPARATORS}", "leave these out"),
        (
            plain.startswith((".", "-", "~", " ")) or plain.endswith((".", " ")),
            "begins or ends with a character that file systems treat specially", "begin and end it with a letter",
        ),
        (DEVICES.fullmatch(plain) is not None, "is a device on Windows", "choose another"),
        (len(name.encode(errors="replace")) > MAX_NAME_BYTES, "is too long", f"use at most {MAX_NAME_BYTES} bytes"),
    )  # fmt: skip
    return next(((problem, fix) for wrong, problem, fix in complaints if wrong), None)


def _shown(text: str) -> str:
    shown = ascii(text) if not text.isprintable() else repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
