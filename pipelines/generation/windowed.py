"""A denoiser that looks through windows, one at a time: between them a walk can tell, stop and be taken up again."""

from typing import Protocol

from torch import Tensor

from pipelines.core.stop import StopSignal
from pipelines.generation.guidance import StoppedNow
from pipelines.generation.levels import Level
from pipelines.generation.memo import Memo
from pipelines.generation.predictions import Prediction
from pipelines.generation.windows import Blend, Place, Windows, smooth


class Shapes:
    """The shapes and colours of a picture, which what is painted over it keeps: all that is larger than details.

    Iterative latent variable refinement (Choi et al. 2021, ILVR, eq. 5), on x0: the low frequencies are the picture's.
    """

    def __init__(self, picture: Tensor, detail: float) -> None:
        """`picture`: (1, c, h, w) latents; `detail`: latents, the sigma of the Gaussian that divides."""
        self._picture, self._sigma = picture, detail

    def kept(self, x0: Tensor) -> Tensor:
        """`x0` (n, c, h, w) with the picture's shapes and its own details."""
        return x0 + smooth(self._picture - x0, self._sigma)


class WindowDenoiser(Protocol):
    """What is asked of a denoiser that can be shown a window."""

    @property
    def prediction(self) -> Prediction: ...

    def level(self, sigma: float) -> Level: ...

    def x0(self, x: Tensor, level: Level, place: Place | None = None) -> Tensor:
        """As `Denoiser.x0` of a window `x` (n, c, high, wide); `place`: where it lies in the whole.

        Whatever else the network is shown for each latent (masks, a small picture) is cut there; None: `x` is all.
        """
        ...


class Windowed:
    """`inner` for a picture of any size. Where one window holds all of it, it answers what `inner` does, to the bit.

    With a `memo` each window's answer is kept until the look is complete, and then that of the look: a second walk
    from the same beginning asks `inner` only for what is missing, and comes to the same end, to the bit.
    """

    def __init__(
        self, inner: WindowDenoiser, windows: Windows, stop: StopSignal, memo: Memo | None = None,
        before: Tensor | None = None, shapes: "Shapes | None" = None,
    ) -> None:  # fmt: skip
        """`before`: (n, c, h, w), what `latest` shows where nothing is seen yet; `shapes`: what every look keeps."""
        self.prediction = inner.prediction
        self.asked = 0
        """Windows that `inner` was asked about."""
        self.inner, self.windows, self.stop, self.memo = inner, windows, stop, memo
        self._looks = 0
        self._look: Look | None = None
        self._before = before
        self.shapes = shapes

    @property
    def latest(self) -> Tensor | None:
        """The latest x0 of the whole, (n, c, h, w) float32, also while its windows come."""
        return self._before if self._look is None else self._look.shown

    def level(self, sigma: float) -> Level:
        return self.inner.level(sigma)

    def x0(self, x: Tensor, level: Level) -> Tensor:
        """All windows at once. Raises StoppedNow between them."""
        look = self.look(x, level)
        while look.answer is None:
            look.go_on()
        return look.answer

    def look(self, x: Tensor, level: Level) -> "Look":
        """The next look, ready to begin: one for every question of a solver, in their order."""
        self._looks += 1
        self._look = Look(self, self._looks, x, level, self.latest)
        return self._look


class Look:
    """One look at the whole picture `x` (n, c, h, w), window by window."""

    def __init__(self, by: Windowed, number: int, x: Tensor, level: Level, before: Tensor | None) -> None:
        """`number`: of the walk, from 1; `before`: what the look before has seen."""
        self.answer: Tensor | None = None
        """(n, c, h, w) float32 when it is complete."""
        self.places = by.windows.places(x.shape[-2], x.shape[-1])
        self.done = 0
        """Windows seen."""
        self._by, self._number, self._x, self._level = by, number, x, level
        self._before = before
        self._blend = Blend(x.shape, by.windows, x.device) if len(self.places) > 1 else None

    @property
    def shown(self) -> Tensor | None:
        """(n, c, h, w): what is seen so far, over what was seen before; None while that is not all of it."""
        if self.answer is not None:
            return self.answer
        return self._before if self._blend is None or self._before is None else self._blend.whole(self._before)

    def go_on(self) -> None:
        """See the next window; or all at once, when a former walk has. Raises StoppedNow."""
        if self._by.stop.now:
            raise StoppedNow
        known = self._recalled(self._key()) if self.done == 0 else None
        if known is not None and known.shape == self._x.shape:
            self.done, self.answer = len(self.places), known
            return
        seen = self._seen(self.places[self.done])
        if self._blend is not None:
            self._blend.add(self.places[self.done], seen)
        self.done += 1
        if self.done < len(self.places):
            return
        whole = seen if self._blend is None else self._blend.whole()
        self.answer = whole if self._by.shapes is None else self._by.shapes.kept(whole)
        if self._by.memo is not None:
            self._by.memo.keep(self._key(), self.answer)
            self._by.memo.forget(self._key(number) for number in range(len(self.places)))

    def _seen(self, place: Place) -> Tensor:
        """(n, c, high, wide) of the window that is next."""
        if self._blend is None:
            self._by.asked += 1
            return self._by.inner.x0(self._x, self._level)
        key, window = self._key(self.done), place.cut(self._x)
        known = self._recalled(key)
        if known is not None and known.shape == window.shape:
            return known
        self._by.asked += 1
        seen = self._by.inner.x0(window, self._level, place)
        if self._by.memo is not None:
            self._by.memo.keep(key, seen)
        return seen

    def _recalled(self, key: str) -> Tensor | None:
        known = None if self._by.memo is None else self._by.memo.recall(key)
        return None if known is None else known.to(self._x.device)

    def _key(self, window: int | None = None) -> str:
        """Of the whole look, or of one of its windows."""
        return f"look-{self._number:04}" if window is None else f"look-{self._number:04}-{window:05}"
