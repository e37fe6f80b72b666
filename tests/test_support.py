"""The support check, with the real model: what may be displayed and what may not."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from assistant.bearing import bearing
from assistant.comparing import compared_alone, turned_round
from assistant.support import THRESHOLD, SupportCheck
from corpus.readable import with_columns

SEATTLE = "Salary > Geographic Variations. Seattle, WA: 15-20% above the national average"
CITIES = """Salary > Geographic Variations. Pay differs by place:
- San Francisco Bay Area: 25-30% above the national average
- New York City: 20-25% above the national average
- Seattle, WA: 15-20% above the national average"""
TABLE = """Pay. Level: 25th percentile, Median, 75th percentile
Junior tester: $44,000, $49,500, $54,000
Senior tester: $68,000, $76,500, $85,000"""
PERCENTILES = """Base Salary Ranges. Level: Base salary per year
National Average: $126,557 - $130,802
25th Percentile: $104,500 - $114,840"""
STEPS = "Pay of learners. Third year: $60,000\nFourth year: $70,000"
BONUS = "Salary > Total Compensation. Annual Bonuses: 10-20% of base salary"
DEGREE = (
    "Requirements. A Bachelor's or Master's degree whose subject is Computer Science, "
    "Machine Learning, Data Science, or a related field"
)
PHD = "Requirements. A PhD may substitute for some of the years of experience"
DEMAND = "Market. Demand is exceptionally high and continues to grow rapidly."
HOURS = "Working time. Nurses on the ward work 38 hours a week, doctors 46 hours."


YEARS = """Pay by experience.
Years: Lower quartile, Median
3 to 5 years: $70,000, $80,000
6 to 9 years: $84,000, $95,000"""


@pytest.mark.parametrize(
    ("sentence", "evidence"),
    [
        ("In Seattle, salaries are 15-20% above the national average.", SEATTLE),
        ("Pay in Seattle is 15 to 20 percent higher than the national average.", CITIES),
        ("Annual bonuses are 10 to 20 percent of base salary.", BONUS),
        ("The yearly bonus is between 10% and 20% of the base salary.", BONUS),
        ("The requirements ask for a Bachelor's or Master's degree in Computer Science.", DEGREE),
        ("A PhD can take the place of some years of experience.", PHD),
        ("Demand is high and grows rapidly.", DEMAND),
        ("A ward nurse works 38 hours per week.", HOURS),
        ("The median for a senior tester is $76,500.", TABLE),
        ("Pay in the third year is $60,000, in the fourth $70,000.", STEPS),
        ("The average, $126,557 to $130,802, lies above the 25th percentile.", PERCENTILES),
        ("The median is $49,500; at the 75th percentile, juniors get $54,000.", TABLE),
        ("The national average is exceeded in Seattle by 15 to 20 percent.", SEATTLE),
        ("At the 25th percentile, the base salary is $104.5K to $114.8K a year.", PERCENTILES),
    ],
)
def test_a_true_paraphrase_passes(support: SupportCheck, sentence: str, evidence: str) -> None:
    verdict = support.judge(sentence, evidence)
    assert verdict.supported, verdict


@pytest.mark.parametrize(
    ("sentence", "evidence", "reason"),
    [
        ("In Boston, salaries are 15-20% above the national average.", SEATTLE, "Boston"),
        ("In Seattle, salaries are 25-30% above the national average.", SEATTLE, "25-30%"),
        ("In Seattle, salaries are 15-20% below the national average.", SEATTLE, "opposite"),
        ("In Seattle, salaries are 20-25% above the national average.", CITIES, "something else"),
        ("Seattle pays more than New York City.", CITIES, "opposite"),
        ("The median for a senior tester is $49,500.", TABLE, "something else"),
        ("Nurses on the ward work 46 hours a week.", HOURS, "something else"),
        ("Nurses on the ward work 38 days a week.", HOURS, ""),
        ("The median for a tester with 3 to 5 years is $95,000.", YEARS, "something else"),
        (
            "At the 25th percentile, base pay is $126,557 to $130,802.",
            PERCENTILES,
            "something else",
        ),
        ("Base pay at the 25th percentile is higher than the average.", PERCENTILES, "opposite"),
        ("Machine learning matters more than data science.", DEGREE, "does not compare"),
        ("Stock is counted daily.", "Logistics. Stock is counted every week.", "unit of time"),
        ("Annual bonuses are 10-20% of total revenue in Germany.", BONUS, "Germany"),
        ("Annual bonuses are not 10-20% of base salary.", BONUS, ""),
        ("A PhD must substitute for all of the years of experience.", PHD, ""),
        ("Demand is low and continues to fall.", DEMAND, ""),
        ("Kubernetes is a required skill.", DEGREE, ""),
        ("Candidates enjoy free lunches and long holidays.", DEGREE, ""),
    ],
)
def test_a_changed_claim_is_caught(
    support: SupportCheck, sentence: str, evidence: str, reason: str
) -> None:
    verdict = support.judge(sentence, evidence)
    assert not verdict.supported, verdict
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("claim", "evidence", "alone"),
    [
        ("Roles grow faster than the market.", "Market outlook. Roles exist.", True),
        ("Roles grow faster than the market.", "Roles outpace the market.", False),
        ("Roles matter more than degrees.", "Roles matter, degrees come next.", False),
        ("Roles are more useful to it than jobs.", "- Roles\n- Jobs", True),
        ("The job is more than coding.", "The job is coding and talking.", False),
        ("It takes less than a year.", "It takes eleven months.", False),
        ("It costs more than $1,500.", "It costs $1,600.", False),
        ("It pays better than nursing.", "Pay: $50,000. Nursing: $40,000.", False),
    ],
)
def test_a_comparison_needs_one_in_the_evidence(claim: str, evidence: str, alone: bool) -> None:
    assert bool(compared_alone(claim, evidence)) is alone


COURIERS = with_columns("""Pay of couriers, by city.

| City | Junior | Senior | Weeks of training |
|---|---|---|---|
| Oslo | 40,000 | 70,000 | 6 |
| Bergen | 38,000 | 72,000 | 4 |
| Narvik | 30,000 | 60,000 | 9 |""")


@pytest.mark.parametrize(
    ("claim", "evidence", "refuted"),
    [
        ("Narvik pays more than Oslo.", COURIERS, True),
        ("Oslo pays more than Narvik.", COURIERS, False),
        ("Oslo pays more than Bergen.", COURIERS, False),  # juniors, not seniors
        ("Oslo pays seniors more than Bergen.", COURIERS, True),
        ("For juniors, Bergen pays more than Oslo.", COURIERS, True),
        ("Seniors in Oslo earn less than juniors in Bergen.", COURIERS, True),
        ("Juniors in Oslo earn less than seniors in Narvik.", COURIERS, False),
        ("Juniors earn more than seniors.", COURIERS, True),
        ("Training takes longer in Narvik than in Oslo.", COURIERS, False),
        ("Training takes longer in Bergen than in Oslo.", COURIERS, True),
        ("Narvik has the highest pay for juniors.", COURIERS, True),
        ("Oslo has the highest pay for juniors.", COURIERS, False),
        ("Narvik's highest pay is 60,000.", COURIERS, False),
        ("For seniors Bergen pays the highest wages.", COURIERS, False),
        ("After tax Narvik pays more than Oslo.", COURIERS, False),
        ("Adjusted for rents and taxes, Narvik pays more than Oslo.", COURIERS, False),
        ("For juniors, Bergen pays the second highest wage.", COURIERS, False),
        ("The gap between seniors is larger than the gap between juniors.", COURIERS, False),
        ("Seattle has the highest premium above the average.", CITIES, True),
        ("The lowest premium above the average is paid in Seattle.", CITIES, False),
    ],
)
def test_figures_of_a_list_or_table_refute_an_order(
    claim: str, evidence: str, refuted: bool
) -> None:
    assert bool(turned_round(claim, evidence)) is refuted


def test_what_is_read_does_not_depend_on_the_order_of_sets() -> None:
    """A new process orders its sets in another way: what it chooses must be the same.

    These claims bear equally on several sentences: with inexact sums each seed chooses otherwise.
    """
    told = {_read(seed) for seed in ("0", "1", "2", "3")}
    assert len(told) == 1


def _read(seed: str) -> str:
    script = """if True:
        import hashlib, json, pathlib
        from assistant.support import Comparison
        told = hashlib.sha256()
        for file in "eh":
            for line in pathlib.Path(f"eval/training/relations/{file}.jsonl").open():
                row = json.loads(line)
                for twins in row["twins"]:
                    compared = Comparison(twins["true"], row["evidence"])
                    told.update(f"{compared.read(30)} {compared.fault}".encode())
        print(told.hexdigest())"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_hand_written_claims_are_told_apart(support: SupportCheck) -> None:
    """Floors below what docs/decisions/0008 reports, so that a broken check is seen."""
    file = Path(__file__).parents[1] / "eval" / "judged" / "career.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()][:300]
    verdicts = support.judge_all([(row["claim"], row["evidence"]) for row in rows])
    right = defaultdict(list)
    for row, verdict in zip(rows, verdicts, strict=True):
        right[row["kind"]].append(verdict.supported == bool(row["label"]))
    caught = [r for kind in ("number", "range", "year", "unit", "place") for r in right[kind]]
    assert sum(right["true"]) / len(right["true"]) >= 0.7
    assert sum(caught) / len(caught) >= 0.9


def test_support_is_a_probability_and_decides(support: SupportCheck) -> None:
    for sentence in ("Demand is high.", "Bananas are yellow.", "!", "x " * 2000):
        verdict = support.judge(sentence, DEMAND)
        assert 0.0 <= verdict.support <= 1.0
        assert verdict.supported == (verdict.support >= THRESHOLD)


@pytest.mark.parametrize(
    ("joined", "alone"),
    [
        ("Yes, pilots must also renew the licence.", "Pilots must renew the licence."),
        ("However, pilots renew the licence as well.", "Pilots renew the licence."),
        ("No, pilots need no degree, too.", "Pilots need no degree."),
    ],
)
def test_what_ties_a_sentence_to_others_is_not_judged(
    support: SupportCheck, joined: str, alone: str
) -> None:
    evidence = "Licences. Pilots must renew the licence each 5 years."
    assert support.judge(joined, evidence) == support.judge(alone, evidence)


def test_pairs_are_judged_as_they_are_alone(support: SupportCheck) -> None:
    pairs = [("Demand is high.", DEMAND), ("A PhD is a must.", PHD), ("Demand is high.", "")]
    assert support.judge_all([]) == []
    together = support.judge_all(pairs)
    alone = [support.judge(*pair) for pair in pairs]
    assert [v.support for v in together] == pytest.approx([v.support for v in alone], abs=1e-4)
    assert not together[-1].supported, "nothing bears a claim out"


def test_a_long_evidence_is_read_where_it_bears_on_the_claim(support: SupportCheck) -> None:
    filler = "The canteen opens at noon and offers three dishes. "
    long = filler * 60 + "Nurses on the ward work 38 hours a week. " + filler * 60
    read = bearing("A ward nurse works 38 hours per week.", long, 60)
    assert "38 hours" in read
    assert len(read.split()) <= 60
    assert support.judge("Nurses on the ward work 38 hours a week.", long).supported
