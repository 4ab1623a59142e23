import time

import pytest

from pipelines.core.request import GenerateRequest, Hires
from pipelines.storage.infotext import MAX_INFOTEXT, infotext, read_infotext, restore

REQUEST = GenerateRequest(
    prompt="a red house,\nnight sky", negative_prompt="blurry, low", sampler="dpmpp_2m", schedule="karras", steps=30,
    cfg=6.5, seed=41, width=512, height=768, clip_skip=2,
)  # fmt: skip


def test_the_text_is_what_a1111_writes() -> None:
    assert infotext(REQUEST, 42) == (
        "a red house,\nnight sky\n"
        "Negative prompt: blurry, low\n"
        "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, Model: flat, "
        "Clip skip: 2, RNG: CPU, Version: Easel 0.1.0"
    )


def test_an_empty_negative_prompt_has_no_line() -> None:
    assert "Negative" not in infotext(GenerateRequest(prompt="a"), 0)


def test_a_value_with_a_comma_is_quoted_and_read_back() -> None:
    text = infotext(GenerateRequest(model='odd, "name": v2'), 0)
    assert 'Model: "odd, \\"name\\": v2"' in text
    assert read_infotext(text).settings["Model"] == 'odd, "name": v2'


def test_what_we_write_can_be_restored() -> None:
    restored = restore(infotext(REQUEST, 42))
    assert GenerateRequest(**restored.fields) == REQUEST.model_copy(update={"seed": 42})
    assert restored.dropped == ()


def test_a_picture_of_a1111_can_be_restored_as_far_as_we_can() -> None:
    text = (
        "masterpiece, (best:1.2)\nNegative prompt: lowres,\nbad hands\n"
        "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1234567, Size: 512x512, Model hash: 6ce0161689, "
        'Model: v1-5-pruned, Lora hashes: "a: 0123, b: 4567", Denoising strength: 0.4, Version: v1.6.0'
    )
    restored = restore(text)
    assert restored.fields == {
        "prompt": "masterpiece, (best:1.2)", "negative_prompt": "lowres,\nbad hands", "steps": 28,
        "sampler": "DPM++ 2M", "schedule": "karras", "cfg": 7.0, "seed": 1234567, "width": 512, "height": 512,
        "model": "v1-5-pruned",
    }  # fmt: skip
    assert restored.dropped == ("Model hash: 6ce0161689", "Lora hashes: a: 0123, b: 4567", "Denoising strength: 0.4")


HIRES = REQUEST.model_copy(update={"clip_skip": 1, "hires": Hires(factor=1.5, strength=0.35, steps=12)})


def test_a_second_pass_is_written_as_a1111_writes_it() -> None:
    assert (
        "Denoising strength: 0.35, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: Lanczos, RNG: CPU"
        in infotext(HIRES, 41)
    )


@pytest.mark.parametrize(
    "hires",
    [
        Hires(),
        Hires(factor=1.5, strength=0.35, steps=12, upscaler="latent"),
        Hires(upscaler="4x-Some, Network", sampler="euler_a", cfg=7.5, prompt="a hill: closer", negative_prompt="fog"),
    ],
)
def test_a_second_pass_can_be_restored(hires: Hires) -> None:
    request = REQUEST.model_copy(update={"schedule": "automatic", "hires": hires})
    restored = restore(infotext(request, 41))
    assert GenerateRequest(**restored.fields) == request
    assert restored.dropped == ()


def test_a_second_pass_of_a1111_can_be_restored() -> None:
    rest = "Steps: 20, Sampler: Euler a, Seed: 1, Size: 512x768, Denoising strength: 0.7, "
    by_size = restore(f"a\n{rest}Hires resize: 1024x0, Hires upscaler: Latent (bicubic antialiased)").fields["hires"]
    assert by_size == {"factor": 2.0, "strength": 0.7, "upscaler": "latent"}
    odd = restore(f"a\n{rest}Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+, Hires sampler: Use same sampler")
    assert odd.fields["hires"] == {"factor": 2.0, "strength": 0.7, "upscaler": "R-ESRGAN 4x+"}
    assert odd.dropped == ("Hires sampler: Use same sampler",)


@pytest.mark.parametrize("size", ["Hires resize: 0x0", "Hires upscale: much", "Hires upscale: 9"])
def test_a_second_pass_without_a_size_that_can_be_is_dropped(size: str) -> None:
    restored = restore(f"a\nSteps: 20, Seed: 1, Size: 512x768, {size}, Hires steps: 5")
    assert "hires" not in restored.fields
    assert size in restored.dropped and "Hires steps: 5" in restored.dropped


def test_settings_that_cannot_be_are_dropped_and_named() -> None:
    restored = restore("a\nSteps: 99999, Sampler: Nonsense, CFG scale: nan, Seed: -1, Size: 513x512, Clip skip: 2")
    assert restored.fields == {"prompt": "a", "clip_skip": 2}
    assert len(restored.dropped) == 5


def test_a_last_line_with_fewer_than_three_settings_is_prompt() -> None:
    text = "a house\nSteps: 20, Seed: 3"
    assert read_infotext(text).prompt == text


@pytest.mark.parametrize(
    "text",
    ["", "\n", "Negative prompt:", ":", ",,,:,:", "Steps: ", 'a: "', 'aa: "\\', "aa: 1, bb: 2, cc: \ud800", "\0"],
)
def test_any_text_has_an_answer(text: str) -> None:
    restore(text)


@pytest.mark.parametrize(
    "piece", ["a", "a,", "ab: ", 'ab: "', 'ab: "\\", ', ": ", ",:", "ab: 1, ", "\n", "Negative prompt:\n", '"', "\\"]
)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    began = time.monotonic()
    restore(piece * (2 * MAX_INFOTEXT // len(piece)))
    assert time.monotonic() - began < 1.0
