"""The text tower's lessons."""

from pathlib import Path

import torch

from pipelines.training.loop import Job, Pace, train
from pipelines.training.networks import new_text_encoder
from pipelines.training.text import UNSAID, TextObjective, TextTask, hidden_states, token_ids, truth
from pipelines.training.tokenizer import train_tokenizer, world_texts
from pipelines.training.world.captions import Aspect, Caption
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Subject

CAT = Scene((Subject(Kind.CAT, Colour.RED),), Sky.DAY, Ground.SNOW)


def test_only_what_is_said_is_asked() -> None:
    classes = truth(CAT, Caption("a cat by day", frozenset({Aspect.KIND_1, Aspect.SKY})))
    asked = {aspect for aspect, answer in classes.items() if answer != UNSAID}
    assert asked == {Aspect.KIND_1, Aspect.SKY, Aspect.KIND_2}
    assert classes[Aspect.KIND_1] == list(Kind).index(Kind.CAT)
    assert classes[Aspect.KIND_2] == len(Kind)


def test_a_token_is_not_told_what_comes_after_it() -> None:
    tokenizer = train_tokenizer(world_texts(1, 200))
    encoder = new_text_encoder(len(tokenizer)).eval()
    with torch.no_grad():
        last, before = hidden_states(encoder, token_ids(tokenizer, ["a red cat", "a red car"]))
    assert last.shape == before.shape == (2, 77, 96)
    assert torch.allclose(last[0, :3], last[1, :3], atol=1e-6)
    assert not torch.allclose(last[0, 3], last[1, 3], atol=1e-3)
    assert not torch.allclose(last, before, atol=1e-3)


def test_a_few_steps_lower_its_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(world_texts(1, 200))
    task = TextTask(new_text_encoder(len(tokenizer)))
    pace = Pace(steps=12, rate=3e-3, warmup=2, bf16=0.0)
    objective = TextObjective(task, tokenizer, batch=16, seed=1)
    losses = [r.loss for r in train(Job(module=task, objective=objective, pace=pace, checkpoint=tmp_path / "t.pt"))]
    assert losses[-1] < losses[0]
