import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from pipelines.core.error import InvalidRequest, StorageProblem
from pipelines.storage.files import OURS, STALE_SECONDS, atomic_write, safe_name, sweep


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{OURS}*"))


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b" / "note.txt", b"hello")
    assert (tmp_path / "a" / "b" / "note.txt").read_bytes() == b"hello"
    assert leftovers(tmp_path) == []


def test_a_taken_name_is_refused_and_its_file_kept(tmp_path: Path) -> None:
    atomic_write(tmp_path / "note.txt", b"first")
    with pytest.raises(FileExistsError):
        atomic_write(tmp_path / "note.txt", b"second")
    assert (tmp_path / "note.txt").read_bytes() == b"first"
    assert leftovers(tmp_path) == []


def test_a_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    atomic_write(tmp_path / "note.txt", b"first")
    atomic_write(tmp_path / "note.txt", b"second", replace=True)
    assert (tmp_path / "note.txt").read_bytes() == b"second"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EFBIG, "takes no file this large"),
        (errno.EACCES, "may not write"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "could not be saved"),
    ],
)
def test_a_disk_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, code: int, says: str) -> None:
    def half(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(code, os.strerror(code))

    atomic_write(tmp_path / "note.txt", b"old")
    with pytest.raises(StorageProblem, match=says) as caught:
        atomic_write(tmp_path / "note.txt", half, replace=True)
    assert caught.value.fix
    assert (tmp_path / "note.txt").read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_writer_with_a_bug_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(file: BinaryIO) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "note.txt", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_is_a_clear_problem(small_disk: Path) -> None:
    atomic_write(small_disk / "small", b"kept")
    with pytest.raises(StorageProblem, match="The disk is full: large could not be saved; free some space"):
        atomic_write(small_disk / "large", bytes(1_000_000))
    assert [file.name for file in small_disk.iterdir()] == ["small"]
    atomic_write(small_disk / "next", b"goes on")


def test_a_file_above_the_size_limit_is_a_clear_problem(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageProblem, match="takes no file this large"):
            atomic_write(tmp_path / "large", bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("not a folder")
    with pytest.raises(StorageProblem):
        atomic_write(tmp_path / "outputs" / "a.png", b"")


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder this user may not write in (root may everything, so it steps back meanwhile)."""
    tmp_path.chmod(0o500)
    me = os.geteuid()
    os.seteuid(me or 65534)
    yield tmp_path
    os.seteuid(me)
    tmp_path.chmod(0o700)


def test_a_folder_without_rights_is_a_clear_problem(closed_folder: Path) -> None:
    with pytest.raises(StorageProblem, match="may not write") as caught:
        atomic_write(closed_folder / "a.png", b"")
    assert "--data" in caught.value.fix


def test_only_our_stale_temporary_files_are_swept(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    of_a_dead_program = tmp_path / "day" / f"{OURS}{int(gone.stdout)}-abcd.tmp"
    of_this_program = tmp_path / f"{OURS}{os.getpid()}-abcd.tmp"
    old_claim = tmp_path / f"{OURS}claim-00001"
    fresh_claim = tmp_path / f"{OURS}claim-00002"
    foreign = tmp_path / "theirs.tmp"
    of_a_dead_program.parent.mkdir()
    for file in (of_a_dead_program, of_this_program, old_claim, fresh_claim, foreign):
        file.touch()
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(old_claim, (long_ago, long_ago))
    assert sweep(tmp_path) == 2
    assert {f for f in tmp_path.rglob("*") if f.is_file()} == {of_this_program, fresh_claim, foreign}


@pytest.mark.parametrize(
    "name", ["Portrait", "Mein schönes Bild", "日本の丘", "v1.5 (final)", "a" * 240, "Ünï & co, 2"]
)
def test_ordinary_names_pass(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "..", ".", "../x", "a/b", "a\\b", "/etc/passwd", "C:", "C:\\x", "a:b", ".hidden", "-rf", "~root",
        " a", "a ", "a.", "con", "CON.txt", "nul.tar.gz", "COM1", "lpt\u00b9", "a\0b", "a\nb", "a\u202eb", "a\u200bb",
        "a\ufeffb", "\ud800", "a\uff0fb", "a\uff3cb", "\u2024\u2024\uff0fx", "a\u2044b", "a\u2215b", "C\uff2fN",
        "a*b", "a?b", 'a"b', "a<b", "a|b", "\u00e9" * 121, "a" * 241,
    ],
)  # fmt: skip
def test_names_that_would_leave_their_folder_or_fool_people_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        safe_name(name, noun="preset name", field="name")
    assert caught.value.problem.startswith("The preset name ")
    assert caught.value.problem.isprintable()


def test_two_spellings_of_one_name_are_one_name() -> None:
    assert safe_name("Cafe\u0301") == safe_name("Caf\u00e9")


def test_a_killed_program_that_nobody_buried_yet_writes_no_more(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as writer:
        os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and still has its number
        left = tmp_path / f"{OURS}{writer.pid}-0.tmp"
        left.touch()
        assert sweep(tmp_path) == 1
        assert not left.exists()


def test_a_number_given_again_is_another_program(tmp_path: Path) -> None:
    left = tmp_path / f"{OURS}{os.getpid()}-0.tmp"
    left.touch()
    assert sweep(tmp_path) == 0
    before_us = psutil.Process().create_time() - 60
    os.utime(left, (before_us, before_us))
    assert sweep(tmp_path) == 1


def test_a_folder_left_unfinished_is_swept_too_and_never_keeps_the_studio_from_starting(tmp_path: Path) -> None:
    left = tmp_path / "models" / f"{OURS}4293a4hj"
    left.mkdir(parents=True)
    (left / "weights").write_text("half")
    os.utime(left, (0, 0))
    assert sweep(tmp_path) == 1
    assert not left.exists()
