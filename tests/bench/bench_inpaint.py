"""Painting over pictures: whether subjects are replaced, and what it costs beside the network.

    uv run tests/bench/bench_inpaint.py replace [--tries 50]     subjects of drawings replaced by others, and marked
    uv run tests/bench/bench_inpaint.py memory                   20 megapixels read, masked, pasted and written
    uv run tests/bench/bench_inpaint.py blending [--runs 9]      a step with the picture held, beside one without
    uv run tests/bench/bench_inpaint.py crop [--runs 9]          a small area of 4096 x 4096, beside its crop alone

With the starter models, on the CPU in float32. Memory is the most that a process of its own had over what it had with
all libraries loaded; no model is in it. Times that are compared take turns, in processor time; medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image, PngImagePlugin  # noqa: E402

from pipelines.core.inpaint import Area, Border, InpaintRequest, Region  # noqa: E402
from pipelines.core.presets import STARTER_MODELS  # noqa: E402
from pipelines.core.request import GenerateRequest  # noqa: E402
from pipelines.core.stop import StopSignal  # noqa: E402
from pipelines.generation.generate import generate  # noqa: E402
from pipelines.generation.ground import Ground  # noqa: E402
from pipelines.generation.inpaint import ground_of  # noqa: E402
from pipelines.generation.levels import Level  # noqa: E402
from pipelines.generation.schedules import Move  # noqa: E402
from pipelines.jobs.repainting import Repainting, Stage, as_image, repainting  # noqa: E402
from pipelines.models.loading import LoadedModel  # noqa: E402
from pipelines.models.residency import Residency  # noqa: E402
from pipelines.models.scan import ModelLibrary  # noqa: E402
from pipelines.storage.deep import DeepPicture, write_deep_png  # noqa: E402
from pipelines.storage.pictures import PictureFiles  # noqa: E402
from pipelines.storage.sources import SourceStore  # noqa: E402
from pipelines.training.checkers.judge import JUDGE_FILE, open_judge  # noqa: E402
from pipelines.training.effects import outcome, shares  # noqa: E402
from tests.jobs.replacing import SIZE, answers, as_png, changed_outside  # noqa: E402

LARGE = (5000, 4000)
"""Width and height: 20 megapixels."""
MOST_TRIED = 1000


# --- replace ----------------------------------------------------------------------------------------------------------


def replace_subjects(tries: int) -> None:
    judge = open_judge(STARTER_MODELS / "judge" / JUDGE_FILE)
    print(f"{tries} drawings of one subject, another one in another colour asked for in its place, 20 steps\n")
    print("| model | kind right | colour right | both | pixels changed outside of the mask |\n|---|---|---|---|---|")
    for model in ("flat", "inpaint"):
        with tempfile.TemporaryDirectory() as folder:
            made = list(answers(tries, model, Path(folder)))
        found = shares([outcome(one, picture, judge) for one, picture in made])
        outside = sum(changed_outside(one, picture) for one, picture in made)
        print(f"| {model} | {found['kind']:.2f} | {found['colour']:.2f} | {found['replaced']:.2f} | {outside} |")


# --- memory -----------------------------------------------------------------------------------------------------------


def large(*, numbers: int = 3, deep: bool = False) -> bytes:
    """A PNG of 20 megapixels with something everywhere."""
    width, height = LARGE
    down, across = np.ogrid[0:height, 0:width]
    kind = np.uint16 if deep else np.uint8
    made = np.empty((height, width, numbers), kind)
    for k in range(numbers):
        made[..., k] = (across * (k + 1) + down * 3 + 40 * k).astype(kind)
    if not deep:
        return as_png(Image.fromarray(made))
    buffer = BytesIO()
    write_deep_png(DeepPicture(made), PngImagePlugin.PngInfo(), buffer)
    return buffer.getvalue()


def mask_of(part: tuple[slice, slice], size: tuple[int, int] = LARGE) -> bytes:
    mask = np.zeros(size[::-1], np.uint8)
    mask[part] = 255
    return as_png(Image.fromarray(mask))


EVERYWHERE, SOMEWHERE = (slice(0, None), slice(0, None)), (slice(1000, 1600), slice(2000, 2700))
OVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a small area": ({}, {"mask": SOMEWHERE}),
    "a small area, 16 bits with alpha": ({"numbers": 4, "deep": True}, {"mask": SOMEWHERE}),
    "all of it masked": ({}, {"mask": EVERYWHERE, "area": Area.WHOLE}),
    "all of it masked, with alpha": ({"numbers": 4}, {"mask": EVERYWHERE, "area": Area.WHOLE}),
    "all of it masked, 16 bits": ({"deep": True}, {"mask": EVERYWHERE, "area": Area.WHOLE}),
    "all of it masked, 16 bits with alpha": ({"numbers": 4, "deep": True}, {"mask": EVERYWHERE, "area": Area.WHOLE}),
    "all of it masked four times": ({}, {"mask": EVERYWHERE, "area": Area.WHOLE, "regions": 3}),
    "no mask": ({}, {}),
    "500 pixels more on the right": ({}, {"border": Border(right=500)}),
    "500 pixels more on the right, 16 bits with alpha": (
        {"numbers": 4, "deep": True},
        {"border": Border(right=500)},
    ),
}
CHILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.bench.bench_inpaint import measured
print(json.dumps(measured(Path(sys.argv[2]), sys.argv[3], sys.argv[4])))
"""


def memory() -> None:
    print(f"{LARGE[0]} x {LARGE[1]}, from the file to the new file, without a model\n")
    print("| what is painted over | MB | seconds |\n|---|---|---|")
    for what, (form, asked) in OVERS.items():
        with tempfile.TemporaryDirectory() as folder:
            sources = SourceStore(Path(folder) / "sources")
            fields = {"source": sources.keep(large(**form)).id} | asked
            if "mask" in asked:
                fields["mask"] = sources.keep(mask_of(asked["mask"])).id
            if "regions" in asked:
                fields["regions"] = [Region(mask=fields["mask"])] * asked["regions"]
            request = InpaintRequest(picture=GenerateRequest(width=512, height=512, model="flat"), **fields)
            command = [sys.executable, "-c", CHILD, str(ROOT), folder, request.model_dump_json()]
            done = subprocess.run([*command, request.source], check=True, capture_output=True, text=True)
            told = json.loads(done.stdout)
            print(f"| {what} | {told['mb']:.0f} | {told['seconds']:.1f} |", flush=True)


def measured(folder: Path, asked: str, source: str) -> dict[str, float]:
    """In a process of its own: the most memory over what was there at the start, and the time."""
    sources, files = SourceStore(folder / "sources"), PictureFiles(folder / "outputs")
    request = InpaintRequest.model_validate_json(asked)
    painted = Image.effect_noise((512, 512), 60).convert("RGB")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = _status("VmRSS"), time.perf_counter()
    sources.keep_file(sources.path_of(source))
    over = repainting(request, sources)
    picture = over.picture
    for number in range(over.passes):
        stage = over.stage(number, picture, request.picture)
        _ = stage.part.scaled
        if not request.is_all:
            picture = stage.into(picture, painted.resize(stage.part.size))
    image = painted if request.is_all else as_image(picture)
    files.save(image, request, index=0)
    return {"mb": (_status("VmHWM") - before) / 1e6, "seconds": time.perf_counter() - began}


def _status(name: str) -> int:
    """Bytes, from the kernel's own book."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# --- blending and crop ------------------------------------------------------------------------------------------------


def lent(name: str = "flat") -> LoadedModel:
    torch.set_num_threads(1)
    return Residency("cpu").lend(ModelLibrary([STARTER_MODELS]).usable(name))


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turns(kinds: dict[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Seconds of each kind, in turns; one round before is not counted."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(runs + 1):
        for kind, work in kinds.items():
            took = seconds(work)
            if turn:
                times[kind].append(took)
    return times


def told(times: dict[str, list[float]], one: str, other: str) -> str:
    each = [a / b for a, b in zip(times[one], times[other], strict=True)]
    low, middle, high = statistics.quantiles(each, n=4)
    of_one, of_other = (statistics.median(times[kind]) for kind in (one, other))
    return f"{of_one * 1000:.1f} ms, {of_other * 1000:.1f} ms, {middle:.3f} ({low:.3f} to {high:.3f})"


def staged(sources: SourceStore, source: bytes, mask: bytes, **fields: Any) -> tuple[Repainting, Stage]:
    picture = GenerateRequest(prompt="a blue house", steps=20, cfg=4, width=SIZE, height=SIZE, seed=1, model="flat")
    request = InpaintRequest(
        picture=picture, source=sources.keep(source).id, mask=sources.keep(mask).id, strength=1.0, **fields
    )
    over = repainting(request, sources)
    return over, over.stage(0, over.picture, picture)


def walked(stage: Stage, model: LoadedModel, ground: Ground) -> None:
    for _ in generate(stage.request.picture, model, StopSignal(), over=ground):
        pass


def blending(runs: int) -> None:
    model = lent()
    with tempfile.TemporaryDirectory() as folder:
        source = as_png(Image.effect_noise((SIZE, SIZE), 60).convert("RGB"))
        mask = mask_of((slice(64, 128), slice(64, 128)), (SIZE, SIZE))
        _, stage = staged(SourceStore(Path(folder)), source, mask, area=Area.WHOLE)
    held = ground_of(model, stage.part, stage.request)
    free = replace(held, mask=None)
    times = in_turns({"held": lambda: walked(stage, model, held), "free": lambda: walked(stage, model, free)}, runs)
    print(f"{SIZE} px, 20 steps: with the picture held, without, ratio\n{told(times, 'held', 'free')}")
    x, noise = torch.randn(held.kept.shape), torch.randn(held.kept.shape)
    move = Move(Level(2.0, 500.0), Level(1.0, 400.0), number=3)
    each = seconds(lambda: [held.hold(x, noise, move, 20) for _ in range(MOST_TRIED)]) / MOST_TRIED
    step = statistics.median(times["free"]) / 20
    print(f"holding alone: {each * 1e6:.0f} us of a step of {step * 1e3:.1f} ms: {each / step:.2%}")


def crop(runs: int) -> None:
    model, side, at = lent(), 4096, (slice(2000, 2096), slice(1800, 1896))
    down, across = np.ogrid[0:side, 0:side]
    pixels = np.stack([np.broadcast_to(one, (side, side)) for one in (across // 20, down // 20, (across + down) // 40)],
                      axis=2).astype(np.uint8)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        sources = SourceStore(Path(folder) / "sources")
        whole, mask = as_png(Image.fromarray(pixels)), mask_of(at, (side, side))
        over, stage = staged(sources, whole, mask)
        window = stage.part.box.part
        with Image.open(BytesIO(mask)) as opened:
            small = Image.fromarray(np.asarray(opened)[window])
        _, alone = staged(sources, as_png(Image.fromarray(pixels[window])), as_png(small))
        files = PictureFiles(Path(folder) / "outputs")
        painted = Image.effect_noise((SIZE, SIZE), 60).convert("RGB")

        def walk(which: Stage) -> None:
            walked(which, model, ground_of(model, which.part, which.request))

        times = in_turns({"part": lambda: walk(stage), "alone": lambda: walk(alone)}, runs)
        print(f"{side} px, a window of {stage.part.box.width} x {stage.part.box.height}, 20 steps at {SIZE} px")
        print(f"painting it: as part of the picture, its crop alone, ratio\n{told(times, 'part', 'alone')}")
        finished = stage.into(over.picture, painted)
        fixed: dict[str, Callable[[], Any]] = {
            "reading picture and mask, finding the window": lambda: repainting(over.request, sources),
            "putting it in": lambda: stage.into(over.picture, painted),
            "writing the PNG": lambda: files.save(as_image(finished), over.request, index=0),
        }
        for what, work in fixed.items():
            print(f"{what}: {statistics.median(seconds(work) for _ in range(3)) * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["replace", "memory", "blending", "crop"])
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--runs", type=int, default=9)
    wanted = parser.parse_args()
    match wanted.what:
        case "replace":
            replace_subjects(wanted.tries)
        case "memory":
            memory()
        case "blending":
            blending(wanted.runs)
        case "crop":
            crop(wanted.runs)


if __name__ == "__main__":
    main()
