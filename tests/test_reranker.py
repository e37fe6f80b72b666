"""The reranker: what it ranks first; and that numpy computes what torch trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from assistant import reranker as reranking
from assistant import support as supporting
from assistant.cross_encoder import BASE, CrossEncoder
from assistant.reranker import Reranker
from index.models import ModelStore

PENSION = "Handbook > Benefits. The employer puts 4 % of the salary into a pension fund."
LEAVE = "Handbook > Leave. Every employee has 25 days of paid holiday a year."
HOURS = "Handbook > Working time. The weekly working time is 38 hours."
DEGREE = "Nurse > Requirements. Applicants need: A diploma in nursing"
TEXTS = [PENSION, LEAVE, HOURS, DEGREE]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what do they chip in for my old age", PENSION),
        ("How long a vacation could I take every summer?", LEAVE),
        ("How many hours do I have to put in from Monday to Friday?", HOURS),
        ("Do I have to have studied anything?", DEGREE),
    ],
)
def test_what_answers_in_other_words_comes_first(
    reranker: Reranker, question: str, answer: str
) -> None:
    assert TEXTS[int(reranker.score(question, TEXTS).argmax())] == answer


@pytest.mark.parametrize(
    "question",
    [
        "Who founded the hospital?",
        "What is the capital of France?",
        "How many days of leave does a teacher in Spain have?",
    ],
)
def test_what_nothing_answers_scores_low(reranker: Reranker, question: str) -> None:
    asked = reranker.score("How many days of paid holiday are there?", TEXTS).max()
    assert reranker.score(question, TEXTS).max() < min(asked, 0.0)


def test_the_score_of_a_passage_does_not_depend_on_the_others(reranker: Reranker) -> None:
    together = reranker.score("How long is the week?", [*TEXTS, "word " * 300])
    alone = [reranker.score("How long is the week?", [text])[0] for text in TEXTS]
    assert np.allclose(together[: len(TEXTS)], alone, atol=1e-4)


def test_questions_of_any_length_are_scored(reranker: Reranker) -> None:
    for question in ("x", "?", "why " * 1000, "\U0001f600" * 200):
        assert np.isfinite(reranker.score(question, [PENSION, ""])).all()
    assert reranker.score("why?", []).shape == (0,)


@pytest.mark.parametrize("weights", [reranking.WEIGHTS, supporting.WEIGHTS], ids=lambda w: w.stem)
def test_numpy_scores_as_torch_trained(home: Path, weights: Path) -> None:
    from eval.learner import Learner, load

    models = ModelStore(home / "models")
    encoder = CrossEncoder.open(models, weights)
    learner = Learner(
        models.resolve(BASE),
        rank=rank_of(weights),
        max_tokens=encoder.max_tokens,
        first_tokens=encoder.first_tokens,
    )
    load(learner, weights)
    long = f"{PENSION} {'and more of the same ' * encoder.max_tokens}"
    questions = ["what do they chip in for my old age", "Who founded the hospital?"]
    pairs = [(question, text) for question in questions for text in (*TEXTS, long)]
    with torch.no_grad():
        trained = learner.eval()(learner.encode(pairs)).numpy()
    assert np.allclose(trained, encoder.score_pairs(pairs), atol=2e-3)


def rank_of(weights: Path) -> int:
    return next(len(t) for name, t in load_file(weights).items() if name.endswith(".down"))


def test_each_epoch_shows_the_support_pairs_anew() -> None:
    from eval.learner import seed
    from eval.train_support import Epochs, held_back, own_pairs

    pairs = [pair for pair in own_pairs() if not held_back(pair)]
    assert pairs
    seed()
    epochs = Epochs(pairs, 1)
    first, second = epochs(), epochs()
    assert len(first) == len(second) == len(pairs)
    assert {p.evidence for p in first} != {p.evidence for p in second}
    assert {p.claim for p in first} <= {p.claim for p in pairs}, "our own claims are never changed"
    assert not any(pair.label and pair.kind == "elsewhere" for pair in first)
