"""Loading, switching and listing models, on files in the true full-size layouts.

    uv run tests/bench/bench_models.py [load|switch|scan|work] [--runs 5] [--files 10000] [--device cpu]

Weights are zeros in sparse files: names, shapes and sizes are real, the disk is not asked. Each load is measured in a
process of its own, from the call until a UNet could run; memory is what is the process's own (Anonymous in smaps).
`work`: the second UNet pass at SD 1.5's 512 x 512, and the second decoding, by attention, number format and placement.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipelines.core.model import Family  # noqa: E402
from tests.models.synthetic import networks, write_folder, write_hollow  # noqa: E402

BIG = (Family.SD1, Family.SDXL)
KINDS = ["load", "switch", "scan", "work"]

OURS = """
import sys, time, json
from pathlib import Path
import torch
from pipelines.models.loading import Manner, load
from pipelines.models.reading import read_model
from tests.bench.bench_models import anonymous
info = read_model(Path(sys.argv[1]), "m")
before, began = anonymous(), time.perf_counter()
model = load(info, Manner(torch.device("cpu"), torch.float32))
print(json.dumps([time.perf_counter() - began, anonymous() - before]))
"""
STOCK = """
import sys, time, json
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from tests.bench.bench_models import anonymous
kind = StableDiffusionXLPipeline if "XL" in sys.argv[1] else StableDiffusionPipeline
before, began = anonymous(), time.perf_counter()
pipe = kind.from_single_file(sys.argv[1], config=sys.argv[2], local_files_only=True, torch_dtype=torch.float16)
print(json.dumps([time.perf_counter() - began, anonymous() - before]))
"""
SWITCH = """
import sys, json
from pathlib import Path
from pipelines.models.residency import Residency
from pipelines.models.reading import read_model
from tests.bench.bench_models import resident
infos = [read_model(Path(path), path) for path in sys.argv[1:]]
residency, sizes = Residency("cpu"), []
for turn in range(20):
    residency.lend(infos[turn % len(infos)])
    sizes.append(resident())
print(json.dumps(sizes))
"""
SCAN = """
import sys, time, json
from pathlib import Path
from pipelines.models.scan import ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.shelf import Shelf
folder = Path(sys.argv[1])
began = time.perf_counter()
found = ModelLibrary([folder / "models"], Shelf(Database(folder / "easel.db"))).list()
print(json.dumps([len(found), time.perf_counter() - began]))
"""
"""As the page's process does it, which knows no torch: its objects would only keep the collector busy."""
WORK = """
import sys, time, json
from pathlib import Path
import torch
from pipelines.core.placement import Placement
from pipelines.generation.pictures import decode
from pipelines.models.loading import DTYPES, Manner, load
from pipelines.models.reading import read_model
from tests.bench.bench_models import Peak
path, device, attention, dtype, placement, what = sys.argv[1:]
manner = Manner(torch.device(device), DTYPES[dtype], Placement(placement), attention)
model = load(read_model(Path(path), "m"), manner)
latents = torch.zeros((1, 4, 64, 64), device=device)
words = torch.zeros((1, 77, 768), device=device, dtype=manner.dtype)

@torch.inference_mode()
def work():
    if what == "unet":
        model.unet(latents.to(manner.dtype), torch.zeros(1, device=device), encoder_hidden_states=words)
    else:
        decode(model, latents, tiled=what == "tiled")
    torch.cuda.synchronize() if device != "cpu" else None

work()
with Peak(device) as peak:
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
print(json.dumps([took, peak.most]))
"""
WORKS = (
    ("auto", "fp32", "whole", "unet"), ("chunked", "fp32", "whole", "unet"), ("naive", "fp32", "whole", "unet"),
    ("auto", "bf16", "whole", "unet"), ("chunked", "bf16", "whole", "unet"), ("naive", "bf16", "whole", "unet"),
    ("auto", "bf16", "streamed", "unet"), ("auto", "bf16", "whole", "vae"), ("auto", "fp32", "whole", "vae"),
    ("auto", "fp32", "whole", "tiled"),
)  # fmt: skip
"""Attention, number format, placement, and what is done."""


class Peak:
    """The most MB that are taken meanwhile, over what is taken before: of the process's own memory, or of CUDA's."""

    def __init__(self, device: str) -> None:
        self.most = 0.0
        self._on_cpu, self._over = device == "cpu", threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._before = own() if self._on_cpu else cuda_peak(reset=True)
        if self._on_cpu:
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._on_cpu:
            self._watcher.join()
        else:
            self.most = cuda_peak() - self._before

    def _watch(self) -> None:
        while not self._over.wait(0.003):
            self.most = max(self.most, own() - self._before)


def cuda_peak(*, reset: bool = False) -> float:
    """MB of tensors: the most since the last reset, or, with a reset, what there is now."""
    import torch

    if reset:
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    return torch.cuda.max_memory_allocated() / 2**20


def own() -> float:
    """MB that no file backs; quick to ask."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def anonymous() -> float:
    """MB of this process that no file backs."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) / 1024


def resident() -> float:
    """MB of this process in memory."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def child(code: str, *arguments: str) -> list[float]:
    """What `code` prints, run in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def bench_load(folder: Path, runs: int) -> None:
    for family in BIG:
        file = write_hollow(folder / f"{family}.safetensors", networks(family, small=False).original())
        config = write_folder(folder / f"{family} config", networks(family, small=True))
        for weights in config.rglob("*.safetensors"):
            weights.unlink()
        for name, measure in (("ours", lambda f=file: child(OURS, str(f))), ("stock", _stock(file, config, family))):
            found = [measure() for _ in range(runs)]
            seconds, memory = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"| {family} fp16, {name} | {seconds:.2f} s | {memory:,.0f} MB |")


def _stock(file: Path, config: Path, family: Family) -> Callable[[], list[float]]:
    """diffusers, offline, with configs that fit the full-size file."""
    from pipelines.models.architecture import architectures, text_part, unet_part, vae_part
    from pipelines.models.headers import read_header
    from pipelines.models.recognise import recognise

    header, numbers = read_header(file), architectures()[family]
    found = recognise(header)
    assert found.denoiser and found.vae
    parts = {
        "unet": unet_part(header.tensors, found.denoiser, numbers),
        "vae": vae_part(header.tensors, found.vae, numbers),
        **{
            f"text_encoder{'_2' if n else ''}": text_part(header.tensors, text, some)
            for n, (text, some) in enumerate(zip(found.text_encoders, numbers.text_encoders, strict=True))
        },
    }
    for name, part in parts.items():
        settings = config / name / "config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | dict(part.config)), encoding="utf-8")
    return lambda: child(STOCK, str(file), str(config))


def bench_switch(folder: Path) -> None:
    files = [write_hollow(folder / f"{n}.safetensors", networks(Family.SD1, small=False).original()) for n in range(3)]
    sizes = child(SWITCH, *map(str, files))
    after = " | ".join(f"{sizes[switch - 1]:,.0f} MB" for switch in (2, 3, 20))
    print(f"| resident after the 2nd, the 3rd, the 20th of 20 switches | {after} |")


def bench_scan(folder: Path, count: int) -> None:
    pair = {"lora_down.weight": (8, 768), "lora_up.weight": (320, 8), "alpha": ()}
    lora = {f"lora_unet_mid_block_attentions_0_attn2_to_k_{n}.{k}": s for n in range(192) for k, s in pair.items()}
    checkpoint = networks(Family.SDXL, small=False).original()
    for n in range(count):
        place = folder / "models" / f"folder {n % 40}" / f"model {n}.safetensors"
        write_hollow(place, checkpoint if n % 10 == 0 else lora)
    for name in ("first", "again"):
        found, seconds = child(SCAN, str(folder))
        print(f"| {name}: {found:,.0f} files | {seconds:.1f} s |")


def bench_work(folder: Path, device: str) -> None:
    made = networks(Family.SD1, small=False).original()
    files = {dtype: write_hollow(folder / f"{dtype}.safetensors", made, dtype=dtype) for dtype in ("F32", "BF16")}
    for attention, dtype, placement, what in WORKS:
        file = files["F32" if dtype == "fp32" else "BF16"]
        seconds, memory = child(WORK, str(file), device, attention, dtype, placement, what)
        print(f"| {what}, {attention}, {dtype}, {placement} | {seconds:.2f} s | {memory:,.0f} MB |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what in asked.what:
            place = Path(folder) / what
            place.mkdir()
            match what:
                case "load":
                    bench_load(place, asked.runs)
                case "switch":
                    bench_switch(place)
                case "scan":
                    bench_scan(place, asked.files)
                case "work":
                    bench_work(place, asked.device)


if __name__ == "__main__":
    main()
