"""Samplers and noise schedules as data: what the screen, the command line and the REST schema offer.

The numerics stand in `pipelines/generation/samplers.py` and `schedules.py`, one entry for each row here; a test
compares the two tables.
"""

from dataclasses import dataclass

from pipelines.core.registry import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the noise levels (sigmas) are spread over the steps."""

    key: str
    label: str
    meaning: str
    aliases: tuple[str, ...] = ()


SCHEDULES: Catalogue[Schedule] = Catalogue(
    "schedule",
    (
        Schedule(key="automatic", label="Automatic", meaning="As the model was trained and published."),
        Schedule(key="normal", label="Normal", meaning="Even steps in the model's own time.", aliases=("uniform",)),
        Schedule(key="karras", label="Karras", meaning="More steps at low noise (Karras et al. 2022): finer detail."),
        Schedule(key="exponential", label="Exponential", meaning="Even steps in the logarithm of the noise."),
        Schedule(
            key="sgm_uniform", label="SGM Uniform", meaning="Even steps from pure noise, the end left out.",
            aliases=("trailing",),
        ),
    ),
)  # fmt: skip

FREE = ("automatic", "normal", "karras", "exponential", "sgm_uniform")
IN_MODEL_TIME = ("automatic", "normal", "sgm_uniform")
"""Samplers defined on the model's discrete timesteps take only schedules made of such timesteps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One way to walk from noise to a picture."""

    key: str
    label: str
    meaning: str
    aliases: tuple[str, ...] = ()
    evaluations: int = 1
    """UNet evaluations per step (the last step may take fewer)."""
    stochastic: bool = False
    """Draws fresh noise at every step: more steps change the picture, they do not only refine it."""
    schedules: tuple[str, ...] = FREE


SAMPLERS: Catalogue[Sampler] = Catalogue(
    "sampler",
    (
        Sampler(
            key="dpmpp_2m", label="DPM++ 2M", aliases=("dpm++2m", "k_dpmpp_2m"),
            meaning="Fast and clean; a good first choice at 15 to 30 steps.",
        ),
        Sampler(
            key="dpmpp_2m_sde", label="DPM++ 2M SDE", aliases=("k_dpmpp_2m_sde",), stochastic=True,
            meaning="As DPM++ 2M with fresh noise at each step: livelier texture.",
        ),
        Sampler(
            key="dpmpp_sde", label="DPM++ SDE", aliases=("k_dpmpp_sde",), evaluations=2, stochastic=True,
            meaning="Rich detail in few steps; each step costs two.",
        ),
        Sampler(
            key="euler", label="Euler", aliases=("k_euler",),
            meaning="The plainest solver: predictable, good for comparing.",
        ),
        Sampler(
            key="euler_a", label="Euler a", aliases=("euler ancestral", "k_euler_a", "k_euler_ancestral"),
            stochastic=True, meaning="Adds noise at each step: soft, inventive, never settles.",
        ),
        Sampler(
            key="heun", label="Heun", aliases=("k_heun",), evaluations=2,
            meaning="Euler with a correction: accurate, each step costs two.",
        ),
        Sampler(key="lms", label="LMS", aliases=("k_lms",), meaning="Remembers four earlier steps; smooth."),
        Sampler(key="unipc", label="UniPC", meaning="Predicts and corrects; good in 8 to 15 steps."),
        Sampler(
            key="ddim", label="DDIM", schedules=IN_MODEL_TIME, meaning="The classic deterministic walk.",
        ),
        Sampler(
            key="pndm", label="PLMS", aliases=("pndm",), schedules=IN_MODEL_TIME,
            meaning="The sampler Stable Diffusion was published with.",
        ),
        Sampler(
            key="ddpm", label="DDPM", stochastic=True, schedules=IN_MODEL_TIME,
            meaning="The original noisy walk; wants many steps.",
        ),
    ),
)  # fmt: skip
