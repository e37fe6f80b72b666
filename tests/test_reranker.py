"""The reranker: what it ranks first; and that 8 bits compute what torch trained."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT
from safetensors.numpy import load_file

from assistant.cross_encoder import BASE, OWN, CrossEncoder, encode, open_tokenizer
from assistant.reranker import WEIGHTS, Reranker
from assistant.support import WEIGHTS as SUPPORT
from index.models import ModelStore
from index.onnx_bert import OnnxBert, OnnxModel

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


@pytest.mark.parametrize("weights", [WEIGHTS, SUPPORT], ids=lambda file: file.stem)
def test_eight_bits_score_as_torch_trained(home: Path, weights: Path) -> None:
    from eval.learner import Learner, load

    models = ModelStore(home / "models")
    encoder = CrossEncoder.open(models, weights)
    learner = Learner(
        models,
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
    assert np.corrcoef(trained, scored)[0, 1] > 0.98
    assert np.abs(trained - scored).mean() < 0.5
    assert np.allclose(half, trained, atol=0.5), "what was trained in half precision is other"


def test_the_mean_of_learners_changes_each_layer_by_the_mean_of_theirs(home: Path) -> None:
    from eval.learner import Learner, mean_of, seed

    learners = []
    for n in range(2):
        seed()
        learner = Learner(ModelStore(home / "models"), rank=8, max_tokens=64, first_tokens=16)
        for change in learner.changes.values():
            change.up.data[:, 4 * n : 4 * n + 4].normal_()  # the mean is of rank 8 again
        learner.scale.data += n
        learners.append(learner)
    name = "encoder.layer.3.output.dense"
    theirs = [of.changes[name].up @ of.changes[name].down for of in learners]
    mean = mean_of(learners)
    change = mean.changes[name].up @ mean.changes[name].down
    assert torch.allclose(change, (theirs[0] + theirs[1]) / 2, atol=1e-4)
    assert mean.scale.item() == pytest.approx(0.8), "0.3 and 1.3"


def rank_of(weights: Path) -> int:
    return next(len(t) for name, t in load_file(weights).items() if name.endswith(".down"))


def test_the_base_without_changes_scores_as_its_file_does(home: Path) -> None:
    folder = ModelStore(home / "models").resolve(BASE)
    whole = onnxruntime.InferenceSession(folder / "model.onnx")
    base = OnnxModel(folder / "model.onnx")
    own = {name: value for prefix in OWN for name, value in base.weights(prefix).items()}
    pairs = encode(open_tokenizer(folder), [("When is the leave paid?", t) for t in TEXTS], 128, 48)
    states = OnnxBert(base.changed({})).states(pairs.ids, pairs.kinds)
    for state, ids, kinds in zip(states, pairs.ids, pairs.kinds, strict=True):
        pooled = np.tanh(state[0] @ own["pooler.dense.weight"].T + own["pooler.dense.bias"])
        score = pooled @ own["classifier.weight"][0] + own["classifier.bias"][0]
        names = ("input_ids", "attention_mask", "token_type_ids")
        texts = dict(zip(names, np.array([[ids], [[1] * len(ids)], [kinds]]), strict=True))
        # the file rounds what the pooler is given to 8 bits too
        assert score == pytest.approx(whole.run(None, texts)[0].item(), abs=0.1)


def test_changes_are_added_to_the_weights(home: Path) -> None:
    file = ModelStore(home / "models").resolve(BASE) / "model.onnx"
    name = "encoder.layer.3.output.dense.weight"
    before = OnnxModel(file).weights("encoder.layer.3")[name]
    change = np.random.default_rng(0).normal(0, 0.05, before.shape).astype(np.float32)
    model = OnnxModel(file)
    model.changed({name: change})
    after = model.weights("encoder.layer.3")[name]
    step = np.abs(before + change).max(axis=1, keepdims=True) / 63
    assert (np.abs(after - before - change) <= step / 2 + 1e-6).all(), "rounded to the nearest step"


def test_each_epoch_shows_the_support_pairs_anew() -> None:
    from eval.learner import seed
    from eval.train_support import OWN_TIMES, Epochs, held_back, own_pairs

    pairs = [pair for pair in own_pairs() if not held_back(pair)]
    assert pairs
    seed()
    epochs = Epochs(pairs)
    first, second = ([p for seen in epochs() for p in seen] for _ in range(2))
    assert len(first) == len(second) == OWN_TIMES * len(pairs)
    assert {p.evidence for p in first} != {p.evidence for p in second}
    assert {p.claim for p in first} <= {p.claim for p in pairs}, "our own claims are never changed"
    assert not any(pair.label and pair.kind == "elsewhere" for pair in first)


def test_twins_are_told_of_the_same_evidence() -> None:
    from eval.learner import seed
    from eval.train_support import Epochs, own_pairs

    pairs = [pair for pair in own_pairs() if pair.twins][:200]
    seed()
    seen = Epochs(pairs)()
    assert seen
    for true, false in seen:
        assert (true.label, false.label) == (1, 0)
        assert true.evidence == false.evidence


def test_no_claim_that_is_judged_was_taught() -> None:
    from eval.train_support import RELATIONS, held_back, own_pairs

    pairs = [*own_pairs(), *own_pairs(RELATIONS)]
    assert len(pairs) > 50_000
    taught = {pair.claim for pair in pairs if not held_back(pair)}
    names = ("blind.jsonl", "career.jsonl", "fresh.jsonl", "twins.jsonl", "web.jsonl")
    files = [ROOT / "eval/judged" / name for name in names]
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
    (asked, twin), (unanswered,) = read_lesson(document, questions).asked
    texts = read_lesson(document, questions).texts
    assert [asked.right(text) for text in texts] == ["25 days" in text.words for text in texts]
    assert (twin.tempting, twin.spans, unanswered.spans) == (asked.spans, frozenset(), frozenset())
    alone = read_lesson(document, questions, twins=False).asked
    assert alone == ((asked,), (unanswered,))


def test_more_lessons_are_about_documents_that_are_here() -> None:
    from eval.train_reranker import LESSONS, document_of, read_lesson

    files = sorted((LESSONS / "more").glob("*.jsonl"))
    lessons = [read_lesson(document_of(file), file) for file in files]  # each answer is a line
    asked = [question for lesson in lessons for group in lesson.asked for question in group]
    assert len(lessons) > 100
    assert all(
        question.tempting for lesson in lessons for _, *twins in lesson.asked for question in twins
    )
    assert sum(bool(question.spans) for question in asked) > 5000
