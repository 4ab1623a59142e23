"""A picture made larger by the whole worker: by each way, of every kind of file, stopped half-way."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from pipelines.core.event import Event, Failed, Finished, Noted, PictureSaved, Preview, Progress, Stopped
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest, LoraChoice
from pipelines.core.stop import StopMode, StopSignal
from pipelines.core.upscale import Format, Frame, UpscaleRequest
from pipelines.jobs.perform import Painter
from pipelines.jobs.upscaling import UNFINISHED
from pipelines.jobs.worker import Work
from pipelines.models.scan import ModelLibrary
from pipelines.storage.deep import DeepPicture, read_deep_png, write_deep_png
from pipelines.storage.facts import read_picture
from pipelines.storage.sources import SourceStore

WIDTH, HEIGHT = 90, 70


def shade(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(h, w, 3), soft, with a ring in it."""
    down, across = np.mgrid[0:height, 0:width]
    ring = (np.hypot(down - height / 2, across - width / 2) % 16 < 6) * 60
    return np.stack([across * 190 // width + ring, down * 190 // height + ring, 120 - ring], axis=-1).astype(np.uint8)


def as_bytes(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=form, **more)
    return buffer.getvalue()


def order(sources: SourceStore, source: bytes | None = None, **fields: Any) -> UpscaleRequest:
    kept = sources.keep(source or as_bytes(Image.fromarray(shade()))).id
    return UpscaleRequest.model_validate({"source": kept, "upscaler": "lanczos", **fields})


def perform(painter: Painter, request: UpscaleRequest, stop: StopSignal | None = None) -> list[Event]:
    return list(painter.perform(Work(request), stop or StopSignal()))


def result(painter: Painter, request: UpscaleRequest) -> Path:
    """The file of the only picture."""
    events = perform(painter, request)
    saved = [event for event in events if isinstance(event, PictureSaved)]
    assert len(saved) == 1 and isinstance(events[-1], Finished), events[-1]
    return painter._files.outputs / saved[0].file


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_lanczos_is_that_of_pillow_without_its_rounding_half_way(painter: Painter, sources: SourceStore) -> None:
    made = pixels(result(painter, order(sources, factor=3.0)))
    channels = [Image.fromarray(shade()[..., k].astype(np.float32)) for k in range(3)]
    large = np.stack([np.asarray(one.resize((270, 210), Image.Resampling.LANCZOS)) for one in channels], axis=-1)
    assert made.shape == (210, 270, 3) and np.abs(made - large.clip(0, 255)).max() <= 0.51


def test_a_network_makes_a_picture_sharper_than_resampling_does(painter: Painter, sources: SourceStore) -> None:
    large = Image.new("RGB", (4 * WIDTH, 4 * HEIGHT), "midnightblue")
    draw = ImageDraw.Draw(large)
    draw.polygon([(30, 250), (180, 20), (330, 260)], fill="tomato")
    draw.ellipse((200, 120, 340, 270), fill="khaki", outline="black", width=4)
    draw.line([(0, 40), (360, 220), (10, 200)], fill="white", width=7)
    small = as_bytes(large.resize((WIDTH, HEIGHT), Image.Resampling.BOX))

    def error(upscaler: str) -> float:
        made = pixels(result(painter, order(sources, small, upscaler=upscaler, factor=4.0)))
        return float(np.square(made.astype(float) - np.asarray(large)).mean())

    assert error("starter-x4") < 0.7 * error("lanczos")


def test_tiles_of_any_size_give_the_same_picture(painter: Painter, sources: SourceStore) -> None:
    picture = as_bytes(Image.fromarray(shade(120, 100)))
    whole = pixels(result(painter, order(sources, picture, upscaler="starter-x4", factor=4.0)))
    tiles = pixels(result(painter, order(sources, picture, upscaler="starter-x4", factor=4.0, tile=96)))
    assert np.abs(whole.astype(int) - tiles).max() <= 1


@pytest.mark.parametrize(("factor", "size"), [(0.5, (45, 35)), (2.0, (180, 140)), (5.0, (450, 350))])
def test_a_network_of_four_serves_every_factor(
    painter: Painter, sources: SourceStore, factor: float, size: tuple[int, int]
) -> None:
    path = result(painter, order(sources, upscaler="starter-x4", factor=factor))
    with Image.open(path) as image:
        assert image.size == size
        back = image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    assert np.abs(np.asarray(back).astype(int) - shade()).mean() < (8 if factor < 1 else 4)


def test_two_upscalers_blend(painter: Painter, sources: SourceStore) -> None:
    one, two, both = (
        pixels(result(painter, order(sources, factor=2.0, **fields))).astype(float)
        for fields in ({}, {"upscaler": "starter-x4"}, {"second": "starter-x4", "blend": 0.25})
    )
    assert np.abs(0.75 * one + 0.25 * two - both).max() <= 1


def test_a_size_is_met_exactly_and_what_stands_out_goes(painter: Painter, sources: SourceStore) -> None:
    made = pixels(result(painter, order(sources, upscaler="starter-x4", width=101, height=167)))
    assert made.shape == (167, 101, 3)
    whole = pixels(result(painter, order(sources, upscaler="starter-x4", height=167)))
    left = (whole.shape[1] - 101) // 2
    assert np.array_equal(made, whole[:, left : left + 101])
    assert pixels(result(painter, order(sources, width=50, height=50, frame=Frame.WITHIN))).shape == (39, 50, 3)


def with_alpha() -> Image.Image:
    """Red where it is seen; what is transparent is black."""
    array = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    array[20:50, 20:60] = (255, 0, 0, 255)
    return Image.fromarray(array)


@pytest.mark.parametrize("upscaler", ["lanczos", "starter-x4"])
def test_alpha_is_kept_and_nothing_unseen_leaks(painter: Painter, sources: SourceStore, upscaler: str) -> None:
    made = pixels(result(painter, order(sources, as_bytes(with_alpha()), upscaler=upscaler, factor=4.0)))
    assert made.shape == (4 * HEIGHT, 4 * WIDTH, 4)
    assert (made[100:180, 100:220, 3] > 250).all() and (made[:60, :, 3] < 5).all()
    seen = made[made[..., 3] > 8]
    assert (seen[:, 0] > 235).all(), "a dark rim"


def test_sixteen_bits_stay_sixteen_bits(painter: Painter, sources: SourceStore) -> None:
    deep = np.repeat(np.linspace(20_000, 21_000, 64 * 64).reshape(64, 64, 1), 3, axis=2).astype(np.uint16)
    held = BytesIO()
    write_deep_png(DeepPicture(deep), PngImagePlugin.PngInfo(), held)
    made = read_deep_png(result(painter, order(sources, held.getvalue())).read_bytes())
    assert made.dtype == np.uint16 and made.shape == (128, 128, 3)
    assert len(np.unique(made)) > 500, "more levels than 8 bits have between these"


@pytest.mark.parametrize(
    "picture",
    [
        as_bytes(Image.new("L", (33, 21), 90)),
        as_bytes(Image.new("1", (33, 21), 1)),
        as_bytes(Image.fromarray(shade(33, 21)).convert("CMYK"), "JPEG"),
        as_bytes(Image.fromarray(shade(33, 21)), "GIF") and as_bytes(Image.fromarray(shade(33, 21)).quantize(16)),
        as_bytes(Image.fromarray(shade(33, 21)), "WEBP", save_all=True,
                 append_images=[Image.new("RGB", (33, 21), "red")]),
        as_bytes(Image.new("RGB", (1, 1), "teal")),
    ],
    ids=["grey", "black and white", "CMYK", "palette", "animated", "1 x 1"],
)  # fmt: skip
def test_every_kind_of_picture_goes_through_a_network(painter: Painter, sources: SourceStore, picture: bytes) -> None:
    with Image.open(BytesIO(picture)) as image:
        expected = np.asarray(image.convert("RGB")).astype(float).mean()
        size = image.size
    made = pixels(result(painter, order(sources, picture, upscaler="starter-x4", factor=4.0)))
    assert made.shape == (4 * size[1], 4 * size[0], 3)
    assert abs(made.mean() - expected) < 12


def test_a_turned_photograph_comes_out_upright_with_what_its_camera_noted(
    painter: Painter, sources: SourceStore
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    exif.get_ifd(0x8769)[0x829A] = 0.125
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 30.0)})
    lying = as_bytes(Image.fromarray(shade()).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    for output in Format:
        with Image.open(result(painter, order(sources, lying, factor=1.0, output=output, quality=95))) as image:
            assert image.size == (WIDTH, HEIGHT)
            noted = image.getexif()
            assert noted.get(0x0112) is None and noted[0x010F] == "A camera"
            assert float(noted.get_ifd(0x8769)[0x829A]) == 0.125
            assert noted.get_ifd(0x8825)[2] == (48.0, 8.0, 30.0)
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - shade()).mean() < 10


@pytest.mark.parametrize("output", list(Format))
def test_what_a_picture_said_goes_on_in_every_format(painter: Painter, sources: SourceStore, output: Format) -> None:
    said = PngImagePlugin.PngInfo()
    said.add_text("parameters", "a größer house\nSteps: 20, Sampler: Euler, CFG scale: 5, Seed: 7")
    picture = as_bytes(Image.fromarray(shade()), pnginfo=said, icc_profile=b"a profile of 128 bytes".ljust(128))
    request = order(sources, picture, upscaler="starter-x4", factor=2.0, output=output, quality=80)
    path = result(painter, request)
    facts = read_picture(path)
    assert path.suffix == {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "avif": ".avif"}[output]
    assert facts.request == request and facts.program is not None
    assert facts.infotext == (
        "a größer house\nSteps: 20, Sampler: Euler, CFG scale: 5, Seed: 7, Postprocess upscale by: 2, "
        "Postprocess upscaler: starter-x4"
    )
    with Image.open(path) as image:
        assert image.info["icc_profile"].startswith(b"a profile")


def test_a_format_without_alpha_shows_white(painter: Painter, sources: SourceStore) -> None:
    made = pixels(result(painter, order(sources, as_bytes(with_alpha()), output=Format.JPEG)))
    assert (made[:20, :20] > 250).all()
    with Image.open(result(painter, order(sources, as_bytes(with_alpha()), output=Format.WEBP))) as image:
        assert image.mode == "RGBA"


def test_whoever_stops_it_keeps_the_finished_part(painter: Painter, sources: SourceStore) -> None:
    picture = as_bytes(Image.fromarray(shade(100, 400)))
    request = order(sources, picture, upscaler="starter-x4", factor=4.0, tile=128)
    stop, events = StopSignal(), []
    for event in painter.perform(Work(request), stop):
        events.append(event)
        if isinstance(event, Preview):
            stop.ask(StopMode.NOW)
    assert isinstance(events[-1], Stopped)
    saved = next(event for event in events if isinstance(event, PictureSaved))
    path = painter._files.outputs / saved.file
    made, whole = pixels(path), pixels(result(painter, request))
    plain = pixels(result(painter, order(sources, picture, factor=4.0)))
    same = (made == whole).all(axis=(1, 2))
    finished = int(np.argmin(same)) if not same.all() else len(same)
    assert 100 < finished < 1500 and made.shape == whole.shape
    assert np.abs(made[finished + 1 :].astype(int) - plain[finished + 1 :]).max() <= 1
    assert f"Finished: {finished / 1600:.0%}" in read_picture(path).infotext
    assert any("enlarged plainly" in event.text for event in events if isinstance(event, Noted))


def test_whoever_stops_it_at_once_leaves_nothing_behind(painter: Painter, sources: SourceStore) -> None:
    before = set(painter._files.outputs.rglob("*"))
    stop, events = StopSignal(), []
    for event in painter.perform(Work(order(sources, upscaler="starter-x4")), stop):
        events.append(event)
        if isinstance(event, Progress):
            stop.ask(StopMode.NOW)
    assert isinstance(events[-1], Stopped) and not any(isinstance(event, PictureSaved) for event in events)
    assert set(painter._files.outputs.rglob("*")) == before


def redraw(sources: SourceStore, loras: tuple[LoraChoice, ...] = (), **fields: Any) -> UpscaleRequest:
    """Of 48 x 48 to 96 x 96, in tiles of 64."""
    painted = GenerateRequest(prompt="a red house", steps=6, seed=3, width=64, height=64, model="flat")
    picture = as_bytes(Image.fromarray(shade(48, 48)))
    painting = painted.model_copy(update={"loras": loras})
    return order(sources, picture, upscaler="starter-x4", strength=0.5, overlap=0.5, picture=painting, **fields)


def test_a_redraw_keeps_the_size_and_tells_of_its_seams(painter: Painter, sources: SourceStore) -> None:
    plain, painted = (result(painter, one) for one in (order(sources, factor=2.0), redraw(sources, factor=2.0)))
    said = read_picture(painted).infotext
    assert said.startswith("a red house\n") and "Denoising strength: 0.5" in said
    assert float(said.split("Seams: ")[1].split(",")[0]) < 1.3
    assert pixels(painted).shape == (96, 96, 3) and read_picture(plain).infotext.count("Seams") == 0


def test_a_redraw_takes_loras_and_a_prompt_of_any_length(painter: Painter, sources: SourceStore) -> None:
    plain = pixels(result(painter, redraw(sources, factor=1.0)))
    long = redraw(sources, (LoraChoice(name="snowfall"),), factor=1.0)
    long = long.model_copy(update={"picture": long.picture.model_copy(update={"prompt": "a red house, " * 400})})
    painted = result(painter, long)
    assert read_picture(painted).infotext.startswith("a red house, a red house, ")
    assert read_picture(painted).request == long and (pixels(painted) != plain).any()


def test_a_redraw_of_sixteen_bits_is_told_in_all_of_them(painter: Painter, sources: SourceStore) -> None:
    deep, held = shade(64, 64).astype(np.uint16) * 257, BytesIO()
    write_deep_png(DeepPicture(deep), PngImagePlugin.PngInfo(), held)
    painted = redraw(sources, factor=1.0).model_copy(update={"source": sources.keep(held.getvalue()).id})
    made = read_deep_png(result(painter, painted).read_bytes())
    assert made.dtype == np.uint16 and abs(float(made.mean()) - float(deep.mean())) < 0.1 * float(deep.mean())


def test_a_redraw_that_was_cut_off_goes_on_where_it_was(painter: Painter, sources: SourceStore) -> None:
    request = redraw(sources, factor=2.0)
    whole = pixels(result(painter, request))
    unfinished = painter._files.outputs / UNFINISHED
    assert not list(unfinished.iterdir()), "what is finished needs no tiles any more"
    steps = []
    for event in painter.perform(Work(request), StopSignal()):  # the process ends in the middle
        if isinstance(event, Progress) and event.steps > 1:
            steps.append(event)
            if event.step == 5:
                break
    assert len(list(unfinished.iterdir())) == 1
    began = painter._residency.lend(ModelLibrary([STARTER_MODELS]).usable("flat")).unet
    asked = []
    handle = began.register_forward_hook(lambda *_: asked.append(1))
    try:
        again = pixels(result(painter, request))
    finally:
        handle.remove()
    assert np.array_equal(again, whole)
    assert len(asked) == steps[-1].steps - 5, "tiles that were painted are not painted again"
    assert not list(unfinished.iterdir())


def test_whoever_stops_a_redraw_keeps_the_enlarged_picture(painter: Painter, sources: SourceStore) -> None:
    request, stop, events = redraw(sources, factor=2.0), StopSignal(), []
    for event in painter.perform(Work(request), stop):
        events.append(event)
        if isinstance(event, Progress) and event.step == 3:
            stop.ask(StopMode.NOW)
    saved = next(event for event in events if isinstance(event, PictureSaved))
    path = painter._files.outputs / saved.file
    picture = as_bytes(Image.fromarray(shade(48, 48)))
    enlarged = pixels(result(painter, order(sources, picture, upscaler="starter-x4", factor=2.0)))
    assert isinstance(events[-1], Stopped) and np.array_equal(pixels(path), enlarged)
    assert "Finished: 0%" in read_picture(path).infotext
    assert any("goes on where it was" in event.text for event in events if isinstance(event, Noted))


def by_diffusion(sources: SourceStore, source: bytes | None = None, **fields: Any) -> UpscaleRequest:
    painted = GenerateRequest(prompt="a red house", steps=4, cfg=1, seed=5)
    return order(sources, source, upscaler="enlarge", factor=4.0, picture=painted, **fields)


def test_a_diffusion_model_enlarges_and_each_noise_level_makes_a_picture(
    painter: Painter, sources: SourceStore
) -> None:
    small = as_bytes(Image.fromarray(shade(32, 24)))
    events = perform(painter, by_diffusion(sources, small, noise_levels=(0, 100)))
    saved = [event for event in events if isinstance(event, PictureSaved)]
    assert [event.index for event in saved] == [0, 1] and isinstance(events[-1], Finished)
    calm, free = (pixels(painter._files.outputs / event.file) for event in saved)
    assert calm.shape == (96, 128, 3) and (calm != free).any()
    said = [read_picture(painter._files.outputs / event.file).infotext for event in saved]
    assert "Noise level: 0," in said[0] and "Noise level: 100," in said[1]
    for made in (calm, free):
        back = np.asarray(Image.fromarray(made).resize((32, 24), Image.Resampling.BOX)).astype(int)
        assert np.abs(back - shade(32, 24)).mean() < 16, "it is still that picture"
    steps = [(event.picture, event.step) for event in events if isinstance(event, Progress)]
    assert (1, 4) in steps and (2, 4) in steps and any(isinstance(event, Preview) for event in events)


def test_a_diffusion_model_keeps_alpha(painter: Painter, sources: SourceStore) -> None:
    made = pixels(result(painter, by_diffusion(sources, as_bytes(with_alpha().resize((24, 24))))))
    assert made.shape == (96, 96, 4) and made[..., 3].min() == 0 and made[..., 3].max() == 255


def test_progress_counts_tiles_and_the_picture_grows(painter: Painter, sources: SourceStore) -> None:
    picture = as_bytes(Image.fromarray(shade(160, 160)))
    events = perform(painter, order(sources, picture, upscaler="starter-x4", factor=4.0, tile=96))
    steps = [(event.step, event.steps) for event in events if isinstance(event, Progress)]
    assert steps == [(number, steps[0][1]) for number in range(steps[0][1] + 1)] and steps[0][1] == 25, steps
    with Image.open(BytesIO([event.jpeg for event in events if isinstance(event, Preview)][-1])) as image:
        assert image.size == (512, 512)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"upscaler": "no such"}, "There is no upscaler named 'no such'; use 'lanczos'"),
        ({"upscaler": "flat"}, "'flat' does not enlarge pictures (checkpoint); choose an upscaler"),
        ({"second": "enlarge"}, "'enlarge' imagines a picture of its own, which cannot be mixed in"),
        ({"noise_levels": (20,)}, "'lanczos' takes no noise level"),
        ({"second": "flat"}, "'flat' does not enlarge pictures"),
        ({"upscaler": "starter-x4", "tile": 10}, "Tiles of 10 pixels are too small; use 80 or more"),
        ({"width": 32_000}, "would become 32000 x"),
        ({"width": 9_000, "height": 9_000, "output": "jpeg"}, "JPEG of 9000 x 9000 pixels"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    painter: Painter, sources: SourceStore, fields: dict[str, Any], says: str
) -> None:
    last = perform(painter, order(sources, as_bytes(Image.new("RGB", (10, 11))), **fields))[-1]
    assert isinstance(last, Failed)
    assert says in f"{last.problem.problem}; {last.problem.fix}"
