"""An answer's scores, one for each metric that applies to it."""

from collections.abc import Iterable, Mapping, Sequence

from assistant import Answer
from index.embedder import Embedder
from index.store import Index

from .cases import Case
from .faithfulness import SUPPORTED, Assessment, Given, assess
from .judges import Judge
from .metrics import Scores, average_precision
from .quality import StoredText, holds, mark
from .records import Context
from .retrieval import scores as ranking_scores


def judged_scores(assessment: Assessment) -> dict[str, float | None]:
    """What the judge found."""
    return {
        "faithfulness": assessment.faithfulness,
        "citation_recall": assessment.citation_recall,
        "citation_precision": assessment.citation_precision,
    }


def case_scores(case: Case, answer: Answer, stored: StoredText) -> dict[str, float | None]:
    """What the case's rules say of the answer."""
    marks = {name: _number(value) for name, value in vars(mark(case, answer, stored)).items()}
    refused = not answer.answered
    return marks | {
        "key_facts": fact_share(answer.text if answer.answered else "", case.facts)
        if case.answerable
        else None,
        "refusal_precision": _number(not case.answerable) if refused else None,
        "refusal_recall": None if case.answerable else _number(refused),
    }


def fact_share(text: str, facts: Sequence[Sequence[str]]) -> float | None:
    """The share of `facts` that `text` holds in one of their wordings; None without facts."""
    if not facts:
        return None
    return round(sum(holds(text, [fact]) for fact in facts) / len(facts), 4)


def similarities(pairs: Sequence[tuple[str, str] | None], embedder: Embedder) -> list[float | None]:
    """The cosine of each pair's embeddings, at least 0; None for None or an empty text."""
    texts = sorted({text for pair in pairs if pair for text in pair if text.strip()})
    if not texts:
        return [None] * len(pairs)
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    return [
        round(max(0.0, float(vectors[pair[0]] @ vectors[pair[1]])), 4)
        if pair and all(text in vectors for text in pair)
        else None
        for pair in pairs
    ]


def context_scores(
    case: Case, contexts: Sequence[Context], borne_out: Mapping[str, Sequence[bool]] | None
) -> dict[str, float | None]:
    """Recall and precision of the contexts, by key facts and sections, else by the reference.

    `borne_out` tells of each claim of the reference which contexts bear it out.
    """
    if not case.answerable or not (case.facts or case.sections or borne_out):
        return {"context_recall": None, "context_precision": None}
    claims = (borne_out or {}).values()
    recall = fact_share("\n".join(c.text for c in contexts), case.facts)
    if recall is None and claims:
        recall = round(sum(any(by) for by in claims) / len(claims), 4)
    relevant = [
        bool(set(case.sections) & set(context.section))
        if case.sections and context.section
        else any(holds(context.text, [fact]) for fact in case.facts) or any(by[at] for by in claims)
        for at, context in enumerate(contexts)
    ]
    return {
        "context_recall": recall,
        "context_precision": average_precision(relevant) if contexts else None,
    }


def reference_claims(
    references: Sequence[tuple[str, Sequence[Context]]], judge: Judge
) -> list[dict[str, list[bool]]]:
    """Of each reference answer, its claims and which of the contexts bear each out.

    A context that the judge gave no verdict on bears nothing out.
    """
    alone = [
        Given("", "", reference, (context.text,))
        for reference, contexts in references
        for context in contexts
    ]
    found = iter(assess(alone, judge))
    result: list[dict[str, list[bool]]] = []
    for _, contexts in references:
        by_claim: dict[str, list[bool]] = {}
        for assessment in (next(found) for _ in contexts):
            verdicts = {c.text: c.verdict for c in assessment.sentences if not c.unchecked}
            for claim, verdict in verdicts.items():  # one for each context, in their order
                by_claim.setdefault(claim, []).append(verdict == SUPPORTED)
        result.append(by_claim)
    return result


def retrieval_scores(
    cases: Sequence[Case], rankings: Sequence[Sequence[Context]], index: Index
) -> list[dict[str, float | None]]:
    """Recall@10, MRR and nDCG@10 of the sections that the search found, by ir-measures."""
    held = {_section_id(c.source, c.section) for c in index.chunks}
    names = {s: set(s.split("\n")[1:]) for s in held}
    wanted = [
        sorted(s for s in held if case.answerable and set(case.sections) & names[s])
        for case in cases
    ]
    found = [
        list(dict.fromkeys(_section_id(c.source, c.section) for c in ranking))
        for ranking in rankings
    ]
    asked = [at for at, sections in enumerate(wanted) if sections]
    result: list[dict[str, float | None]] = [
        dict.fromkeys(("recall@10", "mrr", "ndcg@10")) for _ in cases
    ]
    if asked:
        measured = ranking_scores([wanted[at] for at in asked], [found[at] for at in asked])
        for name, values in measured.items():
            for at, value in zip(asked, values, strict=True):
                result[at][name] = round(value, 4)
    return result


def joined(parts: Iterable[Scores]) -> dict[str, float | None]:
    """The scores of several kinds in one."""
    return {name: value for part in parts for name, value in part.items()}


def _section_id(source: str, section: Sequence[str]) -> str:
    return "\n".join((source, *section))


def _number(value: bool | None) -> float | None:
    return None if value is None else float(value)
