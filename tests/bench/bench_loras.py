"""LoRAs of full size: baked into a checkpoint, added up and cut to a rank, extracted.

    uv run tests/bench/bench_loras.py [sd1|sdxl] [--runs 3] [--folder DIR] [--rank 32]

Rank-32 LoRAs of chance over every attention and feed-forward matrix of the UNet and the text encoders, in kohya's
names. Baking stands beside a plain copy of the checkpoint in the same run; each runs in a process of its own.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from pipelines.core.model import Family  # noqa: E402
from pipelines.models.headers import read_header  # noqa: E402
from pipelines.models.lora.names import targets, written  # noqa: E402
from pipelines.models.names import View  # noqa: E402
from tests.bench.bench_merging import child, copy, made  # noqa: E402

TRAINED = (".attn1.", ".attn2.", ".ff.", ".proj_in", ".proj_out", ".self_attn.", ".mlp.")
BEGIN = """
import json, resource, sys, time
from pathlib import Path
import torch
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
from pipelines.core.recipe import Mix
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.making_loras import Place, add_loras, extract_lora
from pipelines.jobs.merging import merge, one_thread
from pipelines.jobs.orders import Order
from pipelines.merging.lora import Extraction
from pipelines.merging.sizes import Size
from pipelines.models.lora.strength import Strength
from pipelines.models.reading import read_model
*files, target, rank = sys.argv[1:]
infos = tuple(read_model(Path(file), Path(file).stem) for file in files)
began, cpu = time.perf_counter(), time.process_time()
"""
END = "print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak() - before]))"
BAKE = f"""{BEGIN}
with one_thread():
    for _ in merge(Order(Mix(method="keep"), infos[:1], Path(target), loras=((infos[1], Strength(0.8)),)), NoBook()):
        pass
{END}"""
ADD = f"""{BEGIN}
for _ in add_loras(tuple((info, Strength(0.6)) for info in infos), Size(int(rank)), Place(Path(target))):
    pass
{END}"""
EXTRACT = f"""{BEGIN}
for _ in extract_lora(*infos, Extraction(Size(int(rank))), Place(Path(target))):
    pass
{END}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="?", choices=["sd1", "sdxl"], default="sdxl")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="Where files are made and found again; else they are thrown away.")
    parser.add_argument("--extract", action="store_true", help="Extract one, too: minutes.")
    asked = parser.parse_args()
    family = Family.SDXL if asked.family == "sdxl" else Family.SD1
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = asked.folder or Path(thrown_away)
        model = made(folder, family, 0)
        loras = [lora(folder / f"{asked.family}-lora-{seed}.safetensors", model, family, asked.rank, seed)
                 for seed in range(2)]  # fmt: skip
        target = folder / "out.safetensors"
        rows = []
        for _ in range(asked.runs):
            target.unlink(missing_ok=True)
            copied = copy([model], target)
            target.unlink()
            baked = child(BAKE, str(model), str(loras[0]), str(target), "0")
            rows.append([*copied, *baked, baked[0] / copied[0]])
            target.unlink()
        told(f"{family}, a LoRA of rank {asked.rank} baked", rows)
        added = [child(ADD, *map(str, loras), str(target), str(asked.rank)) for _ in range(1)]
        print(f"| {family}, two LoRAs added, to rank {asked.rank} | | {seconds(added[0])} |", flush=True)
        target.unlink()
        if asked.extract:
            tuned = made(folder, family, 1)
            found = child(EXTRACT, str(tuned), str(model), str(target), str(asked.rank))
            print(f"| {family}, extracted to rank {asked.rank} | | {seconds(found)} |", flush=True)


def told(what: str, rows: list[list[float]]) -> None:
    copy_wall, copy_cpu, *ours, ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"| {what} | {copy_wall:.2f} s ({copy_cpu:.2f} CPU) | {seconds(ours)} | x{ratio:.2f} |", flush=True)


def seconds(row: list[float]) -> str:
    wall, cpu, memory = row
    return f"{wall:.2f} s ({cpu:.2f} CPU), {memory:,.0f} MB"


def lora(file: Path, model: Path, family: Family, rank: int, seed: int) -> Path:
    """One of chance, for every module that trainers usually take."""
    if file.exists():
        return file
    header = read_header(model)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for target in dict.fromkeys(targets(header.tensors, family).values()):
        if not any(part in f".{target.module}" for part in TRAINED):
            continue
        tall, wide, *kernel = header.tensors[target.weight].shape
        tall = wide if target.view is not View.WHOLE else tall  # a third of OpenCLIP's query, key and value
        name, ones = written(target, family), (1,) * len(kernel)
        up = torch.randn((tall, rank, *ones), generator=generator) * 0.01
        down = torch.randn((rank, wide, *ones), generator=generator) * 0.1
        tensors |= {f"{name}.lora_up.weight": up.half(), f"{name}.lora_down.weight": down.half()}
        tensors[f"{name}.alpha"] = torch.tensor(rank / 2).half()
    save_file(tensors, file)
    return file


if __name__ == "__main__":
    main()
