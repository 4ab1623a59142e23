"""Our denoising loop against diffusers' stock pipeline, and against the floor: the networks' own time.

    uv run tests/bench/bench_generation.py [--device cpu] [--model PATH] [--size 128] [--steps 20] [--runs 9]
                                           [--precision auto] [--threads N]

Ours, stock, ours with previews and the floor take turns in one process, so that a busy machine troubles all alike; on a
CPU processor time is measured, which neighbours disturb less than the clock. The ratios are medians over the turns. The
floor is what no loop can go below: the same UNet passes and one decoding, with nothing between them. Peak memory is
measured in a fresh process for each side on a CPU, by CUDA's own counter on a GPU.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import Precision, read_generate
from pipelines.core.stop import StopSignal
from pipelines.generation.generate import generate
from pipelines.models.loading import LoadedModel
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency

PROMPT = "a red house on a green meadow under a night sky"


@dataclass(frozen=True)
class Bench:
    """One model, one size."""

    model: LoadedModel
    size: int
    steps: int

    def ours(self, preview_every: int = 0) -> None:
        size = {"width": self.size, "height": self.size}
        settings = {"prompt": PROMPT, "sampler": "dpmpp_2m", "steps": self.steps, "preview_every": preview_every}
        request = read_generate(settings | size)
        for _ in generate(request, self.model, StopSignal()):
            pass

    def previewed(self) -> None:
        self.ours(preview_every=1)

    def pipeline(self) -> Any:
        m = self.model
        pipe = StableDiffusionPipeline(
            vae=m.vae, text_encoder=m.towers[0].encoder, tokenizer=m.towers[0].tokenizer, unet=m.unet,
            scheduler=DPMSolverMultistepScheduler.from_config(dict(m.scheduler_config)),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def stock(self) -> Callable[[], None]:
        pipe = self.pipeline()

        def paint() -> None:
            generator = torch.Generator("cpu").manual_seed(0)
            pipe(
                PROMPT, num_inference_steps=self.steps, guidance_scale=5.0, width=self.size, height=self.size,
                generator=generator,
            )  # fmt: skip

        return paint

    @torch.inference_mode()
    def floor(self) -> None:
        m, side = self.model, self.size // 8
        make: dict[str, Any] = {"device": m.device, "dtype": m.dtype}
        x = torch.randn((2, 4, side, side), **make)
        text = torch.randn((2, 77, m.unet.config.cross_attention_dim), **make)
        time_ = torch.full((2,), 500.0, device=m.device)
        for _ in range(self.steps):
            m.unet(x, time_, encoder_hidden_states=text, return_dict=False)
        m.vae.decode(x[:1], return_dict=False)[0].cpu()


def seconds(work: Callable[[], None], device: torch.device) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def measure(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Seconds of each kind, in turns; one round before is not counted."""
    kinds = {"ours": bench.ours, "previewed": bench.previewed, "stock": bench.stock(), "floor": bench.floor}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(runs + 1):
        for kind, work in kinds.items():
            took = seconds(work, bench.model.device)
            if turn:
                times[kind].append(took)
    return times


def peak(bench: Bench, side: str) -> int:
    """Bytes at the peak of one picture of this side."""
    work = bench.ours if side == "ours" else bench.stock()
    if bench.model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.model.device)
        work()
        return torch.cuda.max_memory_allocated(bench.model.device)
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peaks(bench: Bench) -> dict[str, int]:
    if bench.model.device.type == "cuda":
        return {side: peak(bench, side) for side in ("ours", "stock")}
    command = [sys.executable, __file__, *sys.argv[1:], "--peak"]
    return {
        side: int(subprocess.run([*command, side], check=True, capture_output=True, text=True).stdout)
        for side in ("ours", "stock")
    }


def ratio(times: dict[str, list[float]], one: str, other: str) -> str:
    """The median over the turns, with the middle half."""
    each = [a / b for a, b in zip(times[one], times[other], strict=True)]
    low, middle, high = statistics.quantiles(each, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, default=STARTER_MODELS / "flat")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--precision", type=Precision, default=Precision.AUTO)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--peak", choices=["ours", "stock"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    wanted = arguments()
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    model = Residency(wanted.device).lend(read_model(wanted.model.resolve(), wanted.model.name), wanted.precision)
    bench = Bench(model, wanted.size, wanted.steps)
    if wanted.peak:
        print(peak(bench, wanted.peak))
        return
    times, memory = measure(bench, wanted.runs), peaks(bench)
    print(f"{wanted.size} px, {wanted.steps} steps of DPM++ 2M, CFG 5, {model.device}, {model.dtype}\n")
    print("| | seconds (median) | fastest to slowest | peak MB |\n|---|---|---|---|")
    for kind, each in times.items():
        mb = f"{memory[kind] / 1e6:.0f}" if kind in memory else ""
        print(f"| {kind} | {statistics.median(each):.3f} | {min(each):.3f} to {max(each):.3f} | {mb} |")
    print(f"\nours / stock: {ratio(times, 'ours', 'stock')} time, {memory['ours'] / memory['stock']:.3f} memory")
    print(
        f"ours / floor: {ratio(times, 'ours', 'floor')}; with previews / without: {ratio(times, 'previewed', 'ours')}"
    )


if __name__ == "__main__":
    main()
