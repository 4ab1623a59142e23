"""`app.py models` on folders laid out like those of other programs."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.model import Family
from tests.cli.running import ROOT, Easel, assert_complains
from tests.models.folders import cut
from tests.models.synthetic import networks, write_hollow, write_single

LORA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
PLACES = {
    "a1111": {"checkpoint": "Stable-diffusion", "vae": "VAE", "lora": "Lora", "embedding": "embeddings",
              "upscaler": "ESRGAN"},
    "comfyui": {"checkpoint": "checkpoints", "vae": "vae", "lora": "loras", "embedding": "embeddings",
                "upscaler": "upscale_models"},
}  # fmt: skip


def laid_out(root: Path, places: dict[str, str]) -> Path:
    """A models folder as another program keeps it, with good files and bad ones."""
    made = networks(Family.SD1, small=True)
    write_single(root / places["checkpoint"] / "sub folder" / "Good.safetensors", made, torch.float16)
    write_hollow(root / places["checkpoint"] / "big.safetensors", networks(Family.SDXL, small=False).original())
    shutil.copy(
        root / places["checkpoint"] / "sub folder" / "Good.safetensors", root / places["checkpoint"] / "cut.safetensors"
    )
    cut(root / places["checkpoint"] / "cut.safetensors")
    os.utime(root / places["checkpoint"] / "cut.safetensors", (0, 0))  # else it might be a download that still runs
    vae = {f"first_stage_model.{name}": t for name, t in made.vae.state_dict().items()}
    for kind in ("vae", "lora", "embedding", "upscaler"):
        (root / places[kind]).mkdir()
    save_file(
        {n.removeprefix("first_stage_model."): t for n, t in vae.items()}, root / places["vae"] / "sharp.safetensors"
    )
    save_file({f"{LORA}.lora_down.weight": torch.ones(4, 768), f"{LORA}.lora_up.weight": torch.ones(64, 4)},
              root / places["lora"] / "halo.safetensors")  # fmt: skip
    save_file({"emb_params": torch.ones(2, 768)}, root / places["embedding"] / "lilac.safetensors")
    torch.save({"state_dict": made.original()}, root / places["checkpoint"] / "old.ckpt")
    save_file({"conv_first.weight": torch.ones(4, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.ones(4, 4, 3, 3)},
              root / places["upscaler"] / "x4.safetensors")  # fmt: skip
    (root / "notes.txt").write_text("not a model")
    return root


@pytest.mark.parametrize("program", PLACES)
def test_a_folder_of_another_program_is_listed_as_it_lies(program: str, inside: Easel, tmp_path: Path) -> None:
    root = laid_out(tmp_path / "models", PLACES[program])
    listed = json.loads(inside("models", "list", "--json", "--models", str(root)).stdout)
    found: dict[str, Any] = {row["name"]: row for row in listed if not row["starter"]}
    assert {name: (row["kind"], row["family"]) for name, row in found.items()} == {
        "Good": ("checkpoint", "SD 1.x"),
        "big": ("checkpoint", "SDXL"),
        "cut": ("unknown", None),
        "old": ("unknown", None),
        "sharp": ("vae", None),
        "halo": ("lora", "SD 1.x"),
        "lilac": ("embedding", "SD 1.x"),
        "x4": ("upscaler", None),
    }
    assert "ends early" in found["cut"]["problem"]["problem"]
    assert found["old"]["problem"]["fix"] == "convert it to safetensors"
    assert not any(row["problem"] for name, row in found.items() if name not in ("cut", "old"))
    shown = json.loads(inside("models", "show", "Good", "--json", "--models", str(root)).stdout)
    assert (shown["dtype"], shown["native_size"], shown["prediction"]) == ("fp16", 512, "epsilon")


def test_verify_tells_sound_from_damaged(inside: Easel, tmp_path: Path) -> None:
    root = laid_out(tmp_path / "models", PLACES["a1111"])
    good = inside("models", "verify", str(root / "Stable-diffusion/sub folder/Good.safetensors"), "--json")
    told = json.loads(good.stdout)
    assert (told["model"], told["sound"], told["warnings"]) == ("Good", True, [])
    file = root / "Stable-diffusion/sub folder/Good.safetensors"
    assert told["hashes"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    length = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert told["hashes"]["weights"] == hashlib.sha256(file.read_bytes()[length:]).hexdigest()
    assert_complains(inside("models", "verify", "cut", "--models", str(root)), "ends early", "download it again")
    spoilt = load_file(root / "Stable-diffusion/sub folder/Good.safetensors")
    spoilt["model.diffusion_model.out.2.weight"][0, 0] = torch.nan
    save_file(spoilt, root / "nan.safetensors")
    assert_complains(inside("models", "verify", str(root / "nan.safetensors")), "out.2.weight", "numbers that are none")


def test_convert_makes_safetensors_of_a_pickle_and_a_folder_of_a_file(inside: Easel, tmp_path: Path) -> None:
    root = laid_out(tmp_path / "models", PLACES["a1111"])
    old, new = root / "Stable-diffusion/old.ckpt", tmp_path / "new.safetensors"
    done = inside("models", "convert", str(old), "-o", str(new), "--dtype", "fp16", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == str(new)
    assert {t.dtype for n, t in load_file(new).items() if "position_ids" not in n} == {torch.float16}
    assert old.is_file()
    assert_complains(inside("models", "convert", str(old), "-o", str(new)), "already", "another name")
    assert_complains(
        inside("models", "convert", str(new), "-o", str(tmp_path / "n.safetensors"), "--dtype", "fp7"), "fp16"
    )
    done = inside("models", "convert", str(new), "-o", str(tmp_path / "folder"))
    assert done.returncode == 0, done.stderr
    shown = json.loads(inside("models", "show", str(tmp_path / "folder"), "--json").stdout)
    assert (shown["kind"], shown["family"], shown["problem"]) == ("checkpoint", "SD 1.x", None)


def test_a_single_file_paints(inside: Easel, tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(Family.SDXL, small=True), torch.float16)
    picture = tmp_path / "p.png"
    done = inside("generate", "a cat", "--model", str(file), "--size", "64x64", "--steps", "2", "-o", str(picture))
    assert done.returncode == 0, done.stderr
    assert picture.is_file()


def test_a_model_in_hugging_faces_cache_is_named_as_on_its_page(
    inside: Easel, tmp_path: Path, starter_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "hub" / "models--somebody--dream"
    shutil.copytree(starter_folder, kept / "snapshots" / "abc123")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc123")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shown = json.loads(inside("models", "show", "somebody/dream", "--json").stdout)
    assert (shown["name"], shown["family"]) == ("somebody/dream", "SD 1.x")
    assert_complains(inside("models", "show", "somebody/nightmare"), "somebody/nightmare")


def test_a_download_without_a_network_says_so_in_one_line(inside: Easel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert_complains(inside("models", "download", "somebody/dream"), "cannot be reached", "check the connection")


def odd_lora(folder: Path, name: str) -> Path:
    """A LoRA whose metadata reads like markup."""
    folder.mkdir(exist_ok=True)
    save_file({f"{LORA}.lora_down.weight": torch.ones(4, 768), f"{LORA}.lora_up.weight": torch.ones(64, 4)},
              folder / name, metadata={"modelspec.trigger_phrase": "[/b] in [red]"})  # fmt: skip
    return folder


def test_what_files_say_is_shown_as_it_is(inside: Easel, tmp_path: Path) -> None:
    models = odd_lora(tmp_path / "models", "dream [fp16].safetensors")
    assert "dream [fp16] " in inside("models", "list", "--models", str(models)).stdout
    shown = inside("models", "show", "dream [fp16]", "--models", str(models))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "[/b] in [red]" in shown.stdout


def test_a_name_longer_than_any_file_is_no_model(inside: Easel) -> None:
    assert_complains(inside("models", "show", "x" * 300), "There is no model named")
    assert_complains(inside("generate", "a cat", "--model", "x" * 300), "There is no model named")


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".PTH", ".bin", ".SafeTensors"])
def test_a_model_is_never_written_as_what_it_is_not(ending: str, inside: Easel, tmp_path: Path) -> None:
    done = inside("models", "convert", "flat", "-o", str(tmp_path / f"out{ending}"))
    assert_complains(done, f"written as .safetensors, not {ending}", "use -o out.safetensors")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("place", ["/proc/x", "/proc/x.safetensors", f"{'x' * 300}", "/dev/null/x"])
def test_a_place_that_cannot_be_written_is_said_in_one_line(place: str, inside: Easel) -> None:
    assert_complains(inside("models", "convert", "flat", "-o", place))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server with the files of `folder`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_shows_the_name_of_what_comes_as_it_is(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    name = "{braces} and [b].safetensors"
    with serving(odd_lora(tmp_path / "there", "x.safetensors")) as address:
        command = ["models", "download", f"{address}/x.safetensors", "--name", name, "--data", str(tmp_path / "data")]
        done = subprocess.run(
            [sys.executable, str(ROOT / "app.py"), *command], check=False, env={**os.environ, "TERM": "xterm"},
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, timeout=120,
        )  # fmt: skip
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, drawn
    assert name in drawn
    assert done.stdout.decode().strip() == str(tmp_path / "data" / "models" / name)
