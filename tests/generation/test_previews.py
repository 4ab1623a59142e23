"""Previews look like the picture they announce, and cost little."""

import io
import time

import numpy as np
from PIL import Image

from pipelines.core.event import Preview
from pipelines.core.stop import StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.generation.previews import SHORTEST_PAUSE, Previewer
from pipelines.models.loading import LoadedModel
from tests.generation.painting import ask


def test_the_last_preview_resembles_the_finished_picture(starter: LoadedModel) -> None:
    request = ask(steps=10, width=128, height=128, preview_every=10, sampler="dpmpp_2m")
    preview, painted = (e for e in generate(request, starter, StopSignal()) if isinstance(e, Preview | Painted))
    assert isinstance(preview, Preview) and isinstance(painted, Painted)
    thumbnail = Image.open(io.BytesIO(preview.jpeg))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (16, 16))
    small = painted.image.resize((16, 16), Image.Resampling.BOX)
    assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(small).astype(int)).mean() < 20


def test_no_more_than_ten_in_a_second(starter: LoadedModel) -> None:
    previewer = Previewer(starter, every=1)
    x0 = starter.unet.conv_in.weight.new_zeros((1, 4, 8, 8))
    assert previewer.due(1)
    previewer.draw(x0)
    assert not previewer.due(2)
    time.sleep(SHORTEST_PAUSE)
    assert previewer.due(3)


def test_a_batch_previews_its_first_picture(starter: LoadedModel) -> None:
    request = ask(count=4, batch_size=2, preview_every=3)
    previews = [e for e in generate(request, starter, StopSignal()) if isinstance(e, Preview)]
    assert {e.picture for e in previews} <= {1, 3}
    assert Image.open(io.BytesIO(previews[0].jpeg)).size == (8, 8)
