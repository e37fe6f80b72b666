"""A pytest plugin: gate your own documents and answers in your own tests.

    def test_the_handbook(career_eval):
        run = career_eval.run("handbook-cases.jsonl", index="handbook")
        career_eval.require(run, least={"faithfulness": 0.95}, most={"false_answers": 0.1})

    def test_our_bot(career_eval):
        career_eval.require_faithful(bot("When am I paid?"), contexts=["Pay day is the 25th."])

pytest loads this file in every project of the environment, so it imports nothing heavy until used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .judges import Judge
    from .records import Run

_WORST = 5  # cases that a failure names


@pytest.fixture(scope="session")
def career_eval(tmp_path_factory: pytest.TempPathFactory) -> "Evaluation":
    """The evaluation, with its judge loaded once for all tests."""
    return Evaluation(tmp_path_factory.mktemp("career-eval"))


class Evaluation:
    """What the fixture `career_eval` gives; `judge` can be set to another judge's name first."""

    def __init__(self, folder: Path) -> None:
        self.judge: str | None = None  # what checks the chat's sentences
        self._folder = folder
        self._runs = 0
        self._judges: dict[str | None, Judge] = {}

    def run(self, cases: str | Path, *, index: str = "default", split: str = "all") -> "Run":
        """The assistant's answers from `index` to the accepted cases of a file, judged and scored.

        Raises:
            CareerError: the cases cannot be read, or there is no such index or model.
        """
        from assistant import Assistant
        from assistant.settings import load_settings
        from corpus.errors import UsageError

        from .cases import read_cases
        from .runs import cases_manifest, finish, run_cases

        file = Path(cases)
        chosen = [case for case in read_cases(file, split) if not case.draft]
        if not chosen:
            raise UsageError(f"{file} holds only drafts", "accept a case first")
        self._runs += 1
        out = self._folder / f"run-{self._runs}"
        out.mkdir()
        assistant = Assistant.open(index=index, settings=load_settings())
        try:
            manifest = cases_manifest(file, chosen, split, 0)
            run, timings = run_cases(chosen, assistant, self._opened(), out, manifest=manifest)
        finally:
            assistant.close()
        finish(run, out, timings)
        return run

    def require(
        self,
        run: "Run",
        *,
        least: Mapping[str, float] | None = None,
        most: Mapping[str, float] | None = None,
        baseline: "Run | None" = None,
    ) -> None:
        """Fail the test where a metric of `run` is below `least`, above `most`, or has got worse.

        Raises:
            AssertionError: it says which gates failed, and names the worst cases.
        """
        from .gates import judged, limits
        from .report import worst_first

        given = [f"{name}={value}" for name, value in {**(least or {}), **(most or {})}.items()]
        limits(given)  # refuses what is no metric
        failed = [g for g in judged(run, least or {}, most or {}, baseline) if not g.passed]
        if failed:
            told = [f"{gate.name}: {gate.said}" for gate in failed]
            worst = [f"  {i.id}: {i.question}" for i in worst_first(run.items)[:_WORST]]
            raise AssertionError("\n".join([*told, "worst cases:", *worst]))

    def require_faithful(self, answer: str, contexts: Sequence[str], *, least: float = 1.0) -> None:
        """Fail the test where fewer than `least` of the claims are borne out by `contexts`.

        Raises:
            AssertionError: it names each unsupported claim and why; or nothing could be judged.
        """
        from .faithfulness import UNSUPPORTED, Given, assess

        if isinstance(contexts, str):
            raise TypeError("contexts is one text: give a list of texts")
        (found,) = assess([Given("answer", "", answer or "", tuple(contexts))], self._opened())
        if found.faithfulness is None:
            raise AssertionError(f"nothing could be judged: {found.reason}")
        if found.faithfulness < least:
            faults = [
                f"  {s.text} ({s.reason})" for s in found.sentences if s.verdict == UNSUPPORTED
            ]
            said = f"faithfulness {found.faithfulness:g} is below {least:g}:"
            raise AssertionError("\n".join([said, *faults]))

    def _opened(self) -> "Judge":
        from assistant.settings import load_settings
        from index.models import ModelStore

        from .judges import open_judge

        if self.judge not in self._judges:
            self._judges[self.judge] = open_judge(self.judge, load_settings(), ModelStore())
        return self._judges[self.judge]
