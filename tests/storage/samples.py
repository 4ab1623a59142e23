"""A request and pictures that the tests of this folder share."""

from PIL import Image

from pipelines.core.request import GenerateRequest

REQUEST = GenerateRequest(
    prompt='a "näive" hill, 日本 👩‍🎨\nby night', negative_prompt="low: 2", seed=7, count=20, cfg=6.25
)


def picture(shade: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (shade, 20, 30))
