"""The mixing desk: what a fader that moves costs, until its mix is in memory and until its picture is there.

    uv run tests/bench/bench_desk.py [--moves 20]

On the starter models, 192 x 192, 20 steps, fp32 on the CPU, with both cores; one block moves each time. Medians. The
floor of the mixing is reading and writing the block's numbers once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from pipelines.core.blocks import SD  # noqa: E402
from pipelines.core.desk import Mixture, PreviewRequest  # noqa: E402
from pipelines.core.event import PictureSaved  # noqa: E402
from pipelines.core.presets import STARTER_MODELS  # noqa: E402
from pipelines.core.recipe import Mix  # noqa: E402
from pipelines.core.request import GenerateRequest  # noqa: E402
from pipelines.core.stop import StopSignal  # noqa: E402
from pipelines.jobs.mixing import HeldMix  # noqa: E402
from pipelines.jobs.orders import ordered  # noqa: E402
from pipelines.jobs.setup import PainterSetup  # noqa: E402
from pipelines.jobs.worker import Work  # noqa: E402
from pipelines.models.asked import parts  # noqa: E402
from pipelines.models.scan import ModelLibrary  # noqa: E402

PICTURE = GenerateRequest(prompt="a red house on a hill under a night sky", seed=7, preview_every=1)


def mixture(move: int) -> Mixture:
    weights = [0.5] * len(SD)
    weights[1 + move % 25] = (move % 7) / 6
    return Mixture(models=("flat", "ink"), mix=Mix(blocks={"alpha": tuple(weights)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=20)
    asked = parser.parse_args()
    library = ModelLibrary([STARTER_MODELS])
    with tempfile.TemporaryDirectory() as folder:
        painter = PainterSetup(
            models=(STARTER_MODELS,), outputs=Path(folder), sources=Path(folder), own_models=Path(folder)
        )()
        mixes, pictures, sizes = [], [], []
        held = None
        for move in range(asked.moves + 1):
            order = ordered(mixture(move), parts(library, mixture(move)))
            held = held or HeldMix(order)
            began = time.perf_counter()
            held.bring(order)
            mixes.append(time.perf_counter() - began)
            began = time.perf_counter()
            work = Work(PreviewRequest(mixture=mixture(move), picture=PICTURE))
            assert any(isinstance(event, PictureSaved) for event in painter.perform(work, StopSignal()))
            pictures.append(time.perf_counter() - began)
            sizes.append(psutil.Process().memory_info().rss / 1e6)
    print(f"first mix {mixes[0]:.2f} s, first picture {pictures[0]:.2f} s, {sizes[0]:.0f} MB")
    print(f"a fader: mix {1000 * statistics.median(mixes[1:]):.0f} ms, picture {statistics.median(pictures[1:]):.2f} s")
    print(f"after {asked.moves} moves {sizes[-1]:.0f} MB")


if __name__ == "__main__":
    main()
