"""Upscaling: how much sharper the starter network is than resampling, and what tiles, posters and large latents cost.

    uv run tests/bench/bench_upscale.py psnr [--pictures 24]     held-out drawings made small, and enlarged again
    uv run tests/bench/bench_upscale.py tiles [--runs 7]         tiles, beside the bare network on the same ones
    uv run tests/bench/bench_upscale.py poster [--height 1100]   4096 pixels wide, as high or less, four times as large
    uv run tests/bench/bench_upscale.py vae                      a latent of 4096 x 4096 pixels decoded
    uv run tests/bench/bench_upscale.py seams                    the borders of tiles in redraws and network results

With the starter models, on the CPU in float32. Memory is the most that a process of its own had over what it had with
all libraries loaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from pipelines.core.event import Failed, PictureSaved  # noqa: E402
from pipelines.core.presets import STARTER_MODELS  # noqa: E402
from pipelines.core.request import GenerateRequest  # noqa: E402
from pipelines.core.stop import StopSignal  # noqa: E402
from pipelines.core.upscale import UpscaleRequest  # noqa: E402
from pipelines.generation.large import decoded  # noqa: E402
from pipelines.generation.seam_score import seam_score  # noqa: E402
from pipelines.jobs.keeping import Keeper  # noqa: E402
from pipelines.jobs.perform import Painter  # noqa: E402
from pipelines.jobs.worker import Work  # noqa: E402
from pipelines.models.budget import TILE  # noqa: E402
from pipelines.models.residency import Residency  # noqa: E402
from pipelines.models.scan import ModelLibrary  # noqa: E402
from pipelines.storage.facts import read_picture  # noqa: E402
from pipelines.storage.pictures import PictureFiles  # noqa: E402
from pipelines.storage.sources import SourceStore  # noqa: E402
from pipelines.training.pictures import PictureSet, drawn  # noqa: E402
from pipelines.training.world.scene import Style  # noqa: E402
from pipelines.upscaling.networks import Upscaler, load_upscaler  # noqa: E402
from pipelines.upscaling.tiles import Levels, Tiling, enlarged  # noqa: E402

NAME = "starter-x4"
SHRUNK = {"area": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
PROMPT = "a red house on a hill under a night sky"


def lent() -> Upscaler:
    return Residency("cpu").lend_network(ModelLibrary([STARTER_MODELS]).upscaler(NAME), load_upscaler)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """dB, of two pictures of 8 bits."""
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / error))


def sharpness(pictures: int) -> None:
    network = lent()
    print(f"{pictures} held-out drawings of 192 x 192 made four times as small, and enlarged again; dB, mean\n")
    print("| style | made small by | Lanczos | bicubic | starter-x4 | over Lanczos |\n|---|---|---|---|---|---|")
    gains = []
    with tempfile.TemporaryDirectory() as folder:
        for style in Style:
            wanted = PictureSet(77, pictures, 192, 192, style, held_out=True)
            whole = [Image.fromarray(pixels) for pixels in drawn(wanted, Path(folder)).pixels]
            for by, shrink in SHRUNK.items():
                found = [_compared(image, image.resize((48, 48), shrink), network) for image in whole]
                lanczos, bicubic, ours = (statistics.fmean(column) for column in zip(*found, strict=True))
                gains.append(ours - lanczos)
                print(f"| {style} | {by} | {lanczos:.2f} | {bicubic:.2f} | {ours:.2f} | {ours - lanczos:+.2f} |")
    print(f"\nmean over Lanczos: {statistics.fmean(gains):+.2f} dB")


def _compared(large: Image.Image, small: Image.Image, network: Upscaler) -> tuple[float, float, float]:
    truth = np.asarray(large)
    usual = [np.asarray(small.resize(large.size, by)) for by in (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC)]
    made = network(np.asarray(small, np.float32) / np.float32(255))
    return psnr(usual[0], truth), psnr(usual[1], truth), psnr((made * 255).round().astype(np.uint8), truth)


def tiles(runs: int) -> None:
    """In turns; processor time."""
    torch.set_num_threads(1)
    network, side = lent(), 768
    picture = np.random.default_rng(1).random((side, side, 3), dtype=np.float32)
    tiling = Tiling(side=256)
    spans = tiling.spans(side)
    parts = [picture[row.seen, column.seen] for row in spans for column in spans]

    def seen(rows: slice, columns: slice) -> Levels:
        return picture[rows, columns]

    def in_tiles() -> None:
        for _ in enlarged((side, side), seen, network, network.factor, tiling):
            pass

    def bare() -> None:
        for part in parts:
            network(part)

    ratios, times = [], []
    for turn in range(runs + 1):
        took = [_seconds(bare), _seconds(in_tiles)]
        if turn:
            ratios.append(took[1] / took[0])
            times.append(took)
    low, middle, high = statistics.quantiles(ratios, n=4)
    alone, whole = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{side} x {side}, {len(parts)} tiles of {tiling.side}: bare {alone:.2f} s, in tiles {whole:.2f} s, "
          f"ratio {middle:.3f} ({low:.3f} to {high:.3f})")  # fmt: skip


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


CHILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.bench import bench_upscale
print(json.dumps(getattr(bench_upscale, sys.argv[2])(Path(sys.argv[3]), *map(int, sys.argv[4:]))))
"""


def alone(function: str, *numbers: int) -> dict[str, float]:
    """`function` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CHILD, str(ROOT), function, folder, *map(str, numbers)]
        told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return told


def painter(folder: Path) -> tuple[Painter, SourceStore, PictureFiles]:
    residency, sources, files = Residency("cpu"), SourceStore(folder / "sources"), PictureFiles(folder / "outputs")
    keeper = Keeper(residency, folder / "models")
    return Painter(ModelLibrary([STARTER_MODELS]), residency, files, sources, keeper), sources, files


def done(performer: Painter, request: GenerateRequest | UpscaleRequest, files: PictureFiles) -> Path:
    for event in performer.perform(Work(request), StopSignal()):
        if isinstance(event, Failed):
            raise RuntimeError(event.problem.problem)
        if isinstance(event, PictureSaved):
            saved = files.outputs / event.file
    return saved


def poster(folder: Path, side: int, height: int) -> dict[str, float]:
    performer, sources, files = painter(folder)
    down, across = np.ogrid[0:height, 0:side]
    array = np.stack([across // 16 + down // 32, (across ^ down) // 8, down // 16 + across * 0], axis=2) & 255
    Image.fromarray(array.astype(np.uint8)).save(folder / "picture.png")
    del array
    request = UpscaleRequest(source=sources.keep_file(folder / "picture.png").id, upscaler=NAME, factor=4.0)
    before, began = _reset(), time.perf_counter()
    path = done(performer, request, files)
    peak = _status("VmHWM")
    return {"mb": (peak - before) / 1e6, "peak": peak / 1e6, "seconds": time.perf_counter() - began,
            "file": path.stat().st_size / 1e6}  # fmt: skip


def latents(folder: Path, side: int, height: int) -> dict[str, float]:
    model = Residency("cpu").lend(ModelLibrary([STARTER_MODELS]).usable("flat"))
    wide = torch.randn((1, 4, height // 8, side // 8), generator=torch.Generator().manual_seed(1))
    before, began, rows = _reset(), time.perf_counter(), 0
    for strip in decoded(model, wide, TILE, StopSignal()):
        rows += 0 if strip.rows is None else len(strip.rows)
    assert rows == height
    return {"mb": (_status("VmHWM") - before) / 1e6, "seconds": time.perf_counter() - began}


def _reset() -> int:
    """Bytes in use now; the peak begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    """Bytes, from the kernel's own book."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def seams() -> None:
    with tempfile.TemporaryDirectory() as folder:
        performer, sources, files = painter(Path(folder))
        print("| seed | redrawn at 0.3 | at 0.5 | network, tiles of 96 |\n|---|---|---|---|")
        for seed in (7, 8, 9):
            painted = GenerateRequest(prompt=PROMPT, seed=seed, model="flat")
            source = sources.keep_file(done(performer, painted, files)).id
            told = []
            for strength in (0.3, 0.5):
                request = UpscaleRequest(source=source, upscaler=NAME, factor=4.0, strength=strength, picture=painted)
                told.append(read_picture(done(performer, request, files)).infotext.split("Seams: ")[1].split(",")[0])
            request = UpscaleRequest(source=source, upscaler=NAME, factor=4.0, tile=96)
            edges = sorted({4 * at for one in Tiling(side=96).spans(192) for at in (one.start, one.end)} - {0, 768})
            with Image.open(done(performer, request, files)) as image:
                told.append(f"{seam_score(np.asarray(image), edges, edges):.2f}")
            print(f"| {seed} | {' | '.join(told)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["psnr", "tiles", "poster", "vae", "seams"])
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--side", type=int, default=4096, help="width, and height if none is given")
    parser.add_argument("--height", type=int, default=0)
    wanted = parser.parse_args()
    match wanted.what:
        case "psnr":
            sharpness(wanted.pictures)
        case "tiles":
            tiles(wanted.runs)
        case "poster":
            print(alone("poster", wanted.side, wanted.height or wanted.side))
        case "vae":
            print(alone("latents", wanted.side, wanted.height or wanted.side))
        case "seams":
            seams()


if __name__ == "__main__":
    main()
