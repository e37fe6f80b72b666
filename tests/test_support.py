"""The support check, with the real embedder: what may be displayed and what may not."""

import pytest

from assistant.support import SupportCheck
from index.embedder import CachedEmbedder, LocalEmbedder

SEATTLE = "Salary > Geographic Variations. Seattle, WA: 15-20% above the national average"
BONUS = "Salary > Total Compensation. Annual Bonuses: 10-20% of base salary"
DEGREE = (
    "Requirements. A Bachelor's or Master's degree whose subject is Computer Science, "
    "Machine Learning, Data Science, or a related field"
)
PHD = "Requirements. A PhD may substitute for some of the years of experience"
DEMAND = "Market. Demand is exceptionally high and continues to grow rapidly."
SECTORS = ["Finance and Banking", "Automotive and Transportation", "Energy and Utilities"]
SECTOR_LIST = "Industry Adoption. The sectors with high demand include:\n- " + "\n- ".join(SECTORS)


@pytest.fixture(scope="module")
def check(embedder: LocalEmbedder) -> SupportCheck:
    return SupportCheck(CachedEmbedder(embedder).embed)


@pytest.mark.parametrize(
    ("sentence", "evidence"),
    [
        ("In Seattle, salaries are 15-20% above the national average.", SEATTLE),
        ("Annual bonuses are 10 to 20 percent of base salary.", BONUS),
        ("The requirements ask for a Bachelor's or Master's degree in Computer Science.", DEGREE),
        ("A PhD may substitute for some years of experience.", PHD),
        ("Demand is high and grows rapidly.", DEMAND),
    ],
)
def test_a_true_paraphrase_passes(check: SupportCheck, sentence: str, evidence: str) -> None:
    assert check.judge(sentence, evidence).supported, check.judge(sentence, evidence).reason


@pytest.mark.parametrize(
    ("sentence", "evidence", "reason"),
    [
        ("In Boston, salaries are 15-20% above the national average.", SEATTLE, "Boston"),
        ("In Seattle, salaries are 25-30% above the national average.", SEATTLE, "25-30%"),
        ("In Seattle, salaries are 15-20% below the national average.", SEATTLE, "opposite"),
        ("Annual bonuses are 10-20% of total revenue in Germany.", BONUS, "Germany"),
        ("Annual bonuses are not 10-20% of base salary.", BONUS, "denies"),
        ("A PhD must substitute for all of the years of experience.", PHD, "does not say"),
        ("Demand is low and continues to fall.", DEMAND, ""),
        ("Kubernetes is a required skill.", DEGREE, ""),
        ("Candidates enjoy free lunches and long holidays.", DEGREE, "does not say"),
    ],
)
def test_a_changed_claim_is_caught(
    check: SupportCheck, sentence: str, evidence: str, reason: str
) -> None:
    verdict = check.judge(sentence, evidence)
    assert not verdict.supported
    assert reason in verdict.reason


def test_a_sentence_may_name_several_items_of_a_list(check: SupportCheck) -> None:
    sentence = "The sectors with high demand include Finance and Banking, and Energy and Utilities."
    assert check.judge(sentence, SECTOR_LIST, SECTORS).supported


def test_a_sentence_that_mixes_two_items_of_a_list_is_caught(check: SupportCheck) -> None:
    sentence = "The sectors with high demand include Finance and Banking, Automotive and Utilities."
    assert "mixes" in check.judge(sentence, SECTOR_LIST, SECTORS).reason


def test_support_is_a_share(check: SupportCheck) -> None:
    for sentence in ("Demand is high.", "Bananas are yellow.", "!"):
        assert 0.0 <= check.judge(sentence, DEMAND).support <= 1.0
