"""The page as the tests speak of it: fields by name, the stage by its state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE = 120
"""Seconds that a test waits for what must come: on a slow machine a worker takes most of them to begin anew."""


def until(page: Page, condition: str, arg: object = None) -> None:
    """Wait for a script to be true on the page. Asked now and then: with every frame it costs what the studio needs."""
    page.wait_for_function(condition, arg=arg, polling=100)


class Easel:
    """The Generate tab in a browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.prompt = page.locator("#field-prompt textarea")
        self.generate = page.locator("#generate")
        self.stage = page.locator(".stage")
        self.picture = page.locator(".stage .pic img")
        self.problem = page.locator(".problem")
        self.queue = page.locator(".pill")
        self.thumbs = page.locator(".thumbs .thumb")
        self.fold = page.locator("#more .label-wrap")

    def open(self, state: str = "") -> None:
        """Open the page, at the address of a state if one is named, and wait until it is alive."""
        self.page.goto(self.url + (f"#generate:{state}" if state else ""))
        self.ready()

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        expect(self.generate).to_be_attached()
        until(self.page, "window.Easel?.live.connected && Easel.live.device && Easel.form.values.sampler")

    def field(self, name: str) -> Locator:
        """The box of a number, or the text of the prompts."""
        return self.page.locator(f"#field-{name} :is(textarea, input:not([type=range]))")

    def choice(self, name: str) -> Locator:
        """The list of a choice."""
        return self.page.locator(f"#field-{name} select")

    def pick(self, name: str, model: str, *, typed: str = "") -> None:
        """Choose a model in a searchable list, by typing when `typed` is given."""
        field = self.page.locator(f"#field-{name}")
        field.locator(".pick").click()
        if typed:
            field.get_by_role("combobox").fill(typed)
        field.get_by_role("option", name=model).click()

    def at_fault(self) -> list[str]:
        """The fields that are outlined."""
        outlined = self.page.locator(".at-fault")
        return [str(node.get_attribute("id")).removeprefix("field-") for node in outlined.all()]

    def fill(self, **fields: object) -> None:
        """Type into fields; those under More need it open."""
        for name, value in fields.items():
            self.field(name).fill(str(value))

    def unfold(self) -> None:
        self.fold.click()
        expect(self.field("clip_skip")).to_be_visible()

    def set_count(self, n: int) -> None:
        self.page.get_by_role("group", name="How many pictures").get_by_role("button", name=str(n), exact=True).click()

    def values(self) -> dict[str, Any]:
        """What the form holds, by request field."""
        held: dict[str, Any] = self.page.evaluate("Easel.form.values")
        return held

    def wait_for(self, *states: str, seconds: float = PATIENCE) -> None:
        """Until the stage is in one of the states."""
        css = ", ".join(f".stage.is-{state}" for state in states)
        self.page.locator(css).wait_for(timeout=seconds * 1000)

    @contextmanager
    def painting(self) -> Iterator[None]:
        """What the block presses makes a job; wait for its end, however many pictures there are already."""
        before = self.page.evaluate("Easel.pictures.list[0]?.id ?? 0")
        yield
        until(self.page, f"(Easel.pictures.list[0]?.id ?? 0) > {before} && !Easel.live.jobs.size")
        self.wait_for("done")

    def paint(self) -> None:
        """Press Generate and wait for the pictures."""
        with self.painting():
            self.generate.click()

    def start_long_job(self, prompt: str = "a white boat on the sea", count: int = 4) -> None:
        """A job that is still running when the test looks."""
        self.fill(prompt=prompt, steps=60)
        self.set_count(count)
        self.generate.click()
        self.wait_for("running")
