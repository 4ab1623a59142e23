"""What will become of every tensor, from headers alone: what cannot work is refused before anything is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.core.blocks import TEXTS, UNET, VAE, Blocks, blocks_of
from pipelines.core.error import InvalidRequest
from pipelines.core.model import Kind
from pipelines.core.recipe import FROM_FILE, Mix, letters
from pipelines.merging.sources import Source, Weight
from pipelines.merging.weighting import Values, Weighting
from pipelines.models.blueprint import LATENT_CHANNELS
from pipelines.models.layouts import FIRST
from pipelines.models.recognise import MARKS

EMA = "model_ema."
FIRST_CONVOLUTION = UNET + FIRST
OPTIONAL = (
    "position_ids", "text_projection", "text_projection.weight", "logit_scale", "attn_mask",
)  # fmt: skip
"""Of text encoders: some files have these, others of the same family do not."""
UNUSED_LAYER = "transformer.resblocks.23."
"""SD 2.x's last one, which is in some files and used by none."""
LATENTS_IN = f"{VAE}decoder.conv_in.weight"
NAMED = 5
"""Tensors that a refusal names."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tensor of the result."""

    name: str
    weights: tuple[Weight, ...]
    """Of the models in their order; one alone is carried over."""
    values: Values = field(default_factory=dict)
    """The method's parameters here; nothing where it is carried."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights[0].shape

    @property
    def is_mixed(self) -> bool:
        return len(self.weights) > 1

    @property
    def nbytes(self) -> int:
        """To be read."""
        return sum(one.nbytes for one in self.weights)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, in the order of the file."""

    steps: tuple[Step, ...]
    first: Source
    """Which gives the result its shape."""
    blocks: Blocks
    notes: tuple[str, ...]
    """What a person should know before."""


def plan(mix: Mix, sources: Sequence[Source], vae_from: Source | None = None) -> Plan:
    """What to do with each tensor of `sources`, the first of which gives the result its shape.

    Raises InvalidRequest for models that do not go together, naming tensors where it can.
    """
    mix.for_models(len(sources))
    blocks = _common_blocks(sources)
    weighting = Weighting(mix, blocks)
    _check_names(sources)
    notes = list(_notes(sources))
    steps = []
    for name in _names(mix, sources):
        found = [one.weights[name] for one in sources if name in one.weights]
        values = weighting.of(name) if _is_mixable(name, found, len(sources)) else None
        if values is not None:
            _check_shapes(name, found, sources)
            steps.append(Step(name, tuple(found), values))
        elif not name.startswith(VAE):
            steps.append(Step(name, (found[0],)))
        elif mix.vae != FROM_FILE:
            steps.append(Step(name, (_chosen_vae(mix, name, sources) or found[0],)))
    if mix.vae == FROM_FILE:
        steps += _vae_of(vae_from, sources[0])
    return Plan(tuple(steps), sources[0], blocks, tuple(notes))


def _common_blocks(sources: Sequence[Source]) -> Blocks:
    families = {one.family for one in sources}
    if len(families) > 1:
        said = " and ".join(f"{one.name!r} is {one.family or 'of an unknown kind'}" for one in sources[:3])
        raise InvalidRequest(f"These models do not go together: {said}", fix="mix models of one family", field="model")
    return blocks_of(sources[0].family)


def _names(mix: Mix, sources: Sequence[Source]) -> Iterator[str]:
    """A's tensors in their order, then what only others have: a VAE, a text encoder."""
    for number, source in enumerate(sources):
        for name in source.weights:
            if mix.pruned and name.startswith(EMA):
                continue
            if not any(name in other.weights for other in sources[:number]) and (number == 0 or _is_part(name)):
                yield name


def _is_part(name: str) -> bool:
    return name.startswith((UNET, VAE, *TEXTS))


def _is_mixable(name: str, found: Sequence[Weight], count: int) -> bool:
    """Whether all models have it as numbers that may be averaged."""
    return (
        len(found) == count
        and name not in MARKS
        and all(one.dtype.is_floating_point for one in found)
        and not name.endswith("position_ids")  # in some files turned into floats, and of no use as such
    )


def _chosen_vae(mix: Mix, name: str, sources: Sequence[Source]) -> Weight | None:
    place = letters(len(sources)).find(mix.vae)
    return sources[place].weights.get(name) if place >= 0 else None


def _vae_of(source: Source | None, first: Source) -> Iterator[Step]:
    names = source.below(VAE) if source else []
    if source is None or not names:
        raise InvalidRequest("The file given holds no VAE", fix="choose a VAE, or a model that has one", field="vae")
    own = first.below(VAE)
    wrong = set(names) ^ set(own) if own else set()
    wrong |= {name for name in set(names) & set(own)
              if fits(name, first.weights[name].shape, source.weights[name].shape) is None}  # fmt: skip
    taken = source.weights.get(LATENTS_IN)
    if wrong or (taken is not None and len(taken.shape) == 4 and not own and taken.shape[1] != LATENT_CHANNELS):
        told = f": {', '.join(sorted(wrong)[:NAMED])} differ" if wrong else ""
        raise InvalidRequest(
            f"The VAE of {source.name!r} is none for {first.name!r}{told}", fix="choose a VAE for this kind of model",
            field="vae",
        )  # fmt: skip
    yield from (Step(name, (source.weights[name],)) for name in names)


def _check_names(sources: Sequence[Source]) -> None:
    """Of a network that two models have, they have the same tensors."""
    first = sources[0]
    if not first.below(UNET):
        raise InvalidRequest(
            f"{first.name!r} has no UNet to mix", fix="choose checkpoints, or UNets of one family", field="model"
        )
    for other in sources[1:]:
        for root in (UNET, VAE, *TEXTS):
            ours, theirs = set(first.below(root)), set(other.below(root))
            if not ours or not theirs:
                continue
            for names, holder, lacker in ((ours - theirs, first, other), (theirs - ours, other, first)):
                missing = sorted(name for name in names if not _is_optional(name))
                if missing:
                    raise InvalidRequest(
                        f"{lacker.name!r} lacks {len(missing)} tensors that {holder.name!r} has, among them "
                        f"{', '.join(missing[:NAMED])}",
                        fix="mix whole models of one family", field="model",
                    )  # fmt: skip


def _is_optional(name: str) -> bool:
    return name in MARKS or (name.startswith(TEXTS) and (name.endswith(OPTIONAL) or UNUSED_LAYER in name))


def _check_shapes(name: str, found: Sequence[Weight], sources: Sequence[Source]) -> None:
    for weight, source in zip(found[1:], sources[1:], strict=True):
        if fits(name, found[0].shape, weight.shape) is None:
            ours, theirs = (" x ".join(map(str, shape)) for shape in (found[0].shape, weight.shape))
            raise InvalidRequest(
                f"{name} is {ours} in {sources[0].name!r} and {theirs} in {source.name!r}",
                fix="mix models of one family", field="model",
            )  # fmt: skip


def fits(name: str, ours: tuple[int, ...], theirs: tuple[int, ...]) -> int | None:
    """How many input channels two tensors share, -1 for all; None: they cannot be mixed.

    A 1x1 convolution is a matrix. UNets that are shown more than latents (inpainting: 9 channels, instruct-pix2pix: 8)
    share the first four with the others, as AUTOMATIC1111 and supermerger mix them; the rest is kept as A has it.
    """
    if _squeezed(ours) == _squeezed(theirs):
        return -1
    if name == FIRST_CONVOLUTION and len(ours) == len(theirs) == 4 and ours[0] == theirs[0] and ours[2:] == theirs[2:]:
        return LATENT_CHANNELS if min(ours[1], theirs[1]) >= LATENT_CHANNELS else None
    return None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _notes(sources: Sequence[Source]) -> Iterator[str]:
    first = sources[0]
    for root, kind in ((VAE, Kind.VAE), *((text, Kind.TEXT_ENCODER) for text in TEXTS)):
        having = [one for one in sources if one.below(root)]
        if having and len(having) < len(sources):
            without = next(one for one in sources if one not in having)
            yield f"{without.name!r} has no {kind} of its own: the result takes that of {having[0].name!r}"
    channels = {one.name: one.weights[FIRST_CONVOLUTION].shape[1] for one in sources if _has_channels(one)}
    if len(set(channels.values())) > 1:
        told = ", ".join(f"{name!r} {count}" for name, count in channels.items())
        yield f"The UNets read different channels ({told}): what all read is mixed, the rest is as in {first.name!r}"
    predictions = {one.prediction for one in sources if one.prediction}
    if len(predictions) > 1:
        yield "Some of these models predict noise and others velocity: their mix will hardly paint"
    if any(name.startswith(EMA) for one in sources for name in one.weights):
        yield "Holds copies that were kept for training (EMA): they are not mixed"


def _has_channels(source: Source) -> bool:
    first = source.weights.get(FIRST_CONVOLUTION)
    return first is not None and len(first.shape) == 4


def counts(made: Plan) -> Mapping[str, int]:
    """How many tensors are mixed, and how many carried over."""
    mixed = sum(step.is_mixed for step in made.steps)
    return {"mixed": mixed, "carried": len(made.steps) - mixed}
