"""`career-eval score`: answers made elsewhere, judged as our own are."""

from collections.abc import Mapping, Sequence
from typing import Any

from assistant import __version__
from index.embedder import Embedder

from .answers import AnswerRow
from .cases import Case
from .claims import is_refusal
from .faithfulness import Assessment
from .judges import Judge
from .metrics import SEED
from .records import Context, Item, Run
from .runs import code_identity, summed_up
from .scoring import context_scores, joined, judged_scores, reference_claims, similarities


def foreign_run(
    rows: Sequence[AnswerRow],
    assessments: Sequence[Assessment],
    embedder: Embedder,
    judge: Judge,
    manifest: Mapping[str, Any],
) -> Run:
    """The run of answers made elsewhere; what needs a case of ours has no score."""
    spoken = [a.given if _claims(a) else None for a in rows]
    relevance = similarities([(g.question, g.answer) if g else None for g in spoken], embedder)
    alike = similarities(
        [(r.reference, g.answer) if g else None for r, g in zip(rows, spoken, strict=True)],
        embedder,
    )
    contexts = [tuple(Context(text) for text in row.given.contexts or ()) for row in rows]
    borne_out = reference_claims(
        [(row.reference, held) for row, held in zip(rows, contexts, strict=True)], judge
    )
    items = tuple(
        Item(
            id=row.given.id,
            question=row.given.question,
            answer=row.given.answer,
            status="answered" if given else "abstained",
            sentences=found.sentences,
            contexts=held,
            reference=row.reference,
            scores=joined(
                [
                    judged_scores(found),
                    {"answer_relevance": near, "reference_similarity": like},
                    context_scores(
                        Case(row.given.id, row.given.question, True, reference=row.reference),
                        held,
                        claims,
                    ),
                ]
            ),
            reason=found.reason,
        )
        for row, given, found, held, near, like, claims in zip(
            rows, spoken, assessments, contexts, relevance, alike, borne_out, strict=True
        )
    )
    made_with = {
        "version": __version__,
        "code": code_identity(),
        "judge": {"name": judge.name, "fingerprint": judge.fingerprint},
        "seed": SEED,
    }
    return summed_up("score", items, {**manifest, **made_with}, judge)


def _claims(row: AnswerRow) -> bool:
    return bool(row.given.answer.strip()) and not is_refusal(row.given.answer)
