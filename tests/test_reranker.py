"""The reranker: what it ranks first; and that numpy computes what torch trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from safetensors.numpy import load_file

from assistant.cross_encoder import CrossEncoder, encode, open_tokenizer
from assistant.reranker import FIRST, FIRST_BASE, SECOND, SECOND_BASE, Reranker
from assistant.support import BASE as SUPPORT_BASE
from assistant.support import WEIGHTS as SUPPORT
from index.bert import BertEncoder, read_model
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


@pytest.mark.parametrize(
    ("weights", "base"),
    [(FIRST, FIRST_BASE), (SECOND, SECOND_BASE), (SUPPORT, SUPPORT_BASE)],
    ids=["first", "second", "support"],
)
def test_numpy_scores_as_torch_trained(home: Path, weights: Path, base: str) -> None:
    from eval.learner import Learner, load

    models = ModelStore(home / "models")
    encoder = CrossEncoder.open(models, weights)
    learner = Learner(
        models.resolve(base),
        rank=rank_of(weights),
        max_tokens=encoder.max_tokens,
        first_tokens=encoder.first_tokens,
    )
    load(learner, weights)
    long = f"{PENSION} {'and more of the same ' * encoder.max_tokens}"
    questions = ["what do they chip in for my old age", "Who founded the hospital?"]
    pairs = [(question, text) for question in questions for text in (*TEXTS, long)]
    with torch.no_grad():
        trained = learner.eval().score(pairs).numpy()
        half = learner.in_half().score(pairs).numpy()
    scored = encoder.score_pairs(pairs)
    assert np.allclose(trained, scored, atol=2e-3)
    assert np.allclose(half, scored, atol=0.5), "what was trained in half precision is other"


def rank_of(weights: Path) -> int:
    return next(len(t) for name, t in load_file(weights).items() if name.endswith(".down"))


class DequantizeLinear(OpRun):
    """The operator that onnx's own reference lacks in the version that the file asks for."""

    op_domain = ""

    def _run(self, x: Any, scale: Any, zero: Any, **_: Any) -> tuple[Any]:
        return ((x.astype(np.float32) - np.float32(zero)) * scale,)


def test_the_base_computes_what_its_file_says(home: Path) -> None:
    folder = ModelStore(home / "models").resolve(SECOND_BASE)
    reference = ReferenceEvaluator(str(folder / "model.onnx"), new_ops=[DequantizeLinear])
    model = read_model(folder)
    pairs = encode(open_tokenizer(folder), [("When is the leave paid?", t) for t in TEXTS], 128, 48)
    first = BertEncoder(model).states(pairs.ids, pairs.kinds)[:, 0]
    w = model.weights
    pooled = np.tanh(first @ w["pooler.dense.weight"].T + w["pooler.dense.bias"])
    scores = pooled @ w["classifier.weight"][0] + w["classifier.bias"]
    for score, ids, kinds in zip(scores, pairs.ids, pairs.kinds, strict=True):
        names = ("input_ids", "attention_mask", "token_type_ids")
        texts = dict(zip(names, np.array([[ids], [[1] * len(ids)], [kinds]]), strict=True))
        # its activations are rounded to 8 bits, ours are not
        assert score == pytest.approx(reference.run(None, texts)[0].item(), abs=0.25)


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


def test_no_claim_that_is_judged_was_taught() -> None:
    from eval.train_support import held_back, own_pairs

    taught = {pair.claim for pair in own_pairs() if not held_back(pair)}
    files = [ROOT / "eval/judged" / name for name in ("career.jsonl", "twins.jsonl", "web.jsonl")]
    judged = [json.loads(line)["claim"] for f in files for line in f.read_text().splitlines()]
    assert len(judged) > 1000
    assert not taught & set(judged)


def test_a_lesson_knows_what_answers_and_what_only_looks_like_it(tmp_path: Path) -> None:
    from eval.train_reranker import read_lesson

    document, questions = tmp_path / "bakery.md", tmp_path / "bakery.jsonl"
    document.write_text(
        "# Bakery\n\n## Pay\n\nBakers earn 20 a day.\n\n## Leave\n\nLeave is 25 days.\n"
    )
    rows = [
        {"q": "How long is the leave?", "near": "How long is sick leave?", "answers": ["25 days"]},
        {"q": "Who owns the bakery?", "answers": []},
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    (asked, twin), (unanswered,) = read_lesson(document, [questions]).asked
    texts = read_lesson(document, [questions]).texts
    assert [asked.right(text) for text in texts] == ["25 days" in text.words for text in texts]
    assert (twin.tempting, twin.spans, unanswered.spans) == (asked.spans, frozenset(), frozenset())
