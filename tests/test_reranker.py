"""The reranker: what it ranks first, and that numpy computes what torch trained."""

from pathlib import Path

import numpy as np
import pytest

from assistant.reranker import MAX_TOKENS, WEIGHTS, Reranker
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
        ("When can I go home on Fridays, i.e. how long is the week?", HOURS),
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


def test_numpy_scores_as_torch_trained(home: Path, reranker: Reranker) -> None:
    torch = pytest.importorskip("torch")
    from eval.train_reranker import Learner, load

    learner = Learner(ModelStore(home / "models").resolve("all-minilm-l6-v2"))
    load(learner, WEIGHTS)
    questions = ["what do they chip in for my old age", "Who founded the hospital?"]
    long = f"{PENSION} {'and more of the same ' * MAX_TOKENS}"
    pairs = [(question, text) for question in questions for text in (*TEXTS, long)]
    with torch.no_grad():
        trained = learner.eval()(pairs).numpy()
    computed = np.concatenate([reranker.score(q, [*TEXTS, long]) for q in questions])
    assert np.allclose(trained, computed, atol=1e-3)
