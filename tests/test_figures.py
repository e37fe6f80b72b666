"""Figures: what text gives as numbers, and which numbers of a claim its evidence does not give."""

import pytest

from assistant.binding import misplaced_figure, unnamed_group
from assistant.figure_check import missing_figures
from assistant.figures import figures
from assistant.support import Comparison


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("$126,557 - $130,802", 126_557, 130_802, "$"),
        ("$300-600K per year", 300_000, 600_000, "$"),
        ("$2-3K", 2_000, 3_000, "$"),
        ("1.5-2.5 million euros", 1_500_000, 2_500_000, "€"),
        ("from $10,000 to $50,000", 10_000, 50_000, "$"),
        ("25-30% above average", 25, 30, "%"),
        ("between 5 and 8 percent", 5, 8, "%"),
        ("$410.22 billion", 410.22e9, 410.22e9, "$"),
        ("the 25th percentile", 25, 25, "th"),
        ("six months", 6, 6, ""),
        ("1,250 people", 1250, 1250, ""),
        ("GBP 40k", 40_000, 40_000, "£"),
        ("six of every ten", 60, 60, "%"),
        ("up by three quarters each year", 75, 75, "%"),
        ("between roughly $126.6K and $130.8K", 126_600, 130_800, "$"),
    ],
)
def test_a_figure_is_read_as_value_and_unit(text: str, low: float, high: float, unit: str) -> None:
    found = figures(text)
    assert [(f.low, f.high, f.unit) for f in found] == [(low, high, unit)]


def test_a_year_and_an_amount_are_no_range() -> None:
    found = figures("Adverts rose from 5,200 in 2021 to 13,900 in 2024, after 2018 to 2020.")
    assert [(f.low, f.high) for f in found] == [
        (5200, 5200), (2021, 2021), (13_900, 13_900), (2024, 2024), (2018, 2020)
    ]  # fmt: skip


def test_quarters_of_a_year_are_no_shares() -> None:
    text = "It fell for two quarters, and three quarters ago; for three quarters it rose."
    assert not [f for f in figures(text) if f.unit]
    assert not [f for f in figures("In the third quarter a year earlier it fell.") if f.seconds]


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("It pays $2,000 to $3,000.", "Pay: $2-3K"),
        ("5 to 8 percent of staff", "5-8% of staff"),
        ("1250 people", "1,250 people"),
        ("after six months", "after 6 months"),
        ("bonuses of up to 20%", "bonuses of 10-20%"),
        ("between 10% and 20%", "10-20% of base salary"),
        ("about $130,000", "$130,802"),
        ("at least 3 to 5 years", "3-5+ years"),
        ("$10,000 to $50,000", "from $10,000 to $50,000"),
        ("24 months of leave", "two years of leave"),
        ("The 50-million-dollar ceiling applies.", "The ceiling is 50 million dollars."),
        ("It takes no fewer than five years.", "It takes 5-10 years."),
        ("within 24 hours", "within a day"),
        ("in the sixth week", "one week in six"),
        ("from the fourth year", "18 days in the first year and 23 from the fourth"),
        ("nine hours each week", "nine hours a week"),
        ("260 posts a year", "260 posts"),
        ("no figure here", "no figure there"),
        ("a break of thirty minutes", "a break of half an hour"),
        ("It takes a year and a half.", "It takes 18 months."),
        ("It takes a month and a half.", "It takes six weeks."),
        ("over three decades", "over 30 years"),
        ("every three months", "each quarter"),
        ("A quarter of them earn more.", "75th percentile: $90,000"),
        ("Half of them earn more.", "Median: $90,000"),
        ("nearly 60 schools", "fewer than 60 schools"),
        ("1900 to 2500 euros a month", "€1,900-2,500 a month"),
        ("pay of $126.6K", "pay of $126,557"),
        ("from $109,143 to more than $200,000", "$109,143 to $200,000+"),
        ("There were more in 2022 than in 2018.", "From 2018 to 2022 there was growth."),
        ("over the four years from 2018 to 2022", "From 2018 to 2022 there was growth."),
        # counted, not given: whether it is right, only reading tells
        ("Of the two claimants, Bram ruled longer.", "Ysolde was crowned; Bram ruled until 1562."),
        ("It takes three things.", "It takes:\n\n- patience\n- a degree\n- two referees"),
        ("Three cities pay more.", "Boston, Seattle, and Denver pay more."),
        ("Three cities pay more.", "Visas are for Boston, Seattle and Denver, as they pay more."),
        ("Three cities pay more.", "Boston, Seattle and Denver pay more."),
        ("More than half of the yards put safety first.", "Most yards put safety first."),
        ("Fewer than half of them stayed.", "Only 41 percent stayed."),
        # worked out
        ("Windows are covered five years less by others.", "15 years by us, ten years by others."),
        ("She left eleven years after the merger.", "They merged in 2011; she left in 2022."),
        ("In 1988 she won again.", "In 1987 she won, and again the following year."),
        ("Together they pay $24,000.", "She pays $10,000 and he $14,000."),
    ],
)
def test_a_figure_in_other_writing_is_found(claim: str, evidence: str) -> None:
    assert missing_figures(claim, evidence) == []


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("bonuses of 20%", "bonuses of 10-20%"),  # one end of a range is not the value
        ("$130,000", "$130,802"),  # rounding must be said
        ("The 15-million-dollar ceiling applies.", "The ceiling is 50 million dollars."),
        ("It takes no fewer than ten years.", "It takes 5-10 years."),
        ("She had five jobs in two years.", "She had two jobs in five years."),
        ("Adoption fell to 38 percent.", "Adoption has risen from 38 to 57 percent."),
        ("The pay is now $80,000.", "The pay was raised from $80,000 to $95,000."),
        ("20%", "20 people"),
        ("It has four branches.", "It has three branches."),
        ("There are three levels of pay.", "Pay has four bands."),
        ("It takes four things.", "It takes:\n\n- patience\n- a degree\n- two referees"),
        ("Four cities pay more.", "Boston, Seattle and Denver pay more."),
        ("The top grade is 5.", "The top grade is L7."),
        ("After 2 years you may apply.", "You may apply after 3 years, or after 5 years."),
        ("Bonuses are higher, at 8%.", "Bonuses are 12% or 20%."),
        ("Nearly half of the staff left.", "10% of the staff left."),
        ("Half of employers ask for it.", "Many employers ask for it."),
        ("It closed in 2018.", "It opened in 2019 and closed the following year."),
        ("The total pay is $150,000.", "Juniors earn $60,000, seniors $90,000."),
        ("More than half of them stayed.", "Only 41 percent stayed."),
        ("five years", "15 years by us, ten years by others."),  # nothing says that it is a gap
        ("Windows are covered six years less by others.", "15 years by us, ten years by others."),
        ("In 1989 she won again.", "In 1987 she won, and again the following year."),
        ("€50,000", "$50,000"),
        ("10-30%", "10-20% here and 20-30% there"),  # ends of two ranges
        ("15-20% in the 75th percentile", "15-20% in the 25th percentile"),
        ("3-5 years", "3-5+ years"),
        ("in 2025", "in 2024"),
        ("$410 million", "$410 billion"),
        ("two sentences", "one sentence"),
        ("within five weeks", "within five days"),
        ("a six-day course", "a six-month course"),
        ("nine hours a day", "nine hours a week"),
        ("$40 per day", "$40 an hour"),
        ("at most three days", "at least three days"),
        ("more than sixty schools", "fewer than sixty schools"),
        ("fewer than sixty schools", "more than sixty schools"),
        ("a break of half an hour", "a break of three hours"),
        ("It takes a year and a half.", "It takes 12 months."),
        ("pay of $126.5K", "pay of $126,557"),
        ("pay of $130K", "pay of $126,557"),
        ("A third of them earn more.", "75th percentile: $90,000"),
        ("over the five years from 2018 to 2022", "From 2018 to 2022 there was growth."),
        ("in 2020", "From 2018 to 2022 there was growth."),
        ("growth since 2022", "From 2018 to 2022 there was growth."),
        ("The club has 1200 members.", "The club has 1200 to 1800 members."),
        ("growth until 2018", "From 2018 to 2022 there was growth."),
        ("two years of experience in 2022", "Reports of 2020 and 2022 ask for experience."),
        ("There were 2000 jobs.", "There were 1,500-2,000 jobs."),
        ("2500 euros a month", "1900 to 2500 euros a month"),
        ("$90.5K to $1.2M", "$50,000 to $1,200,000"),
        ("Training takes 12 months.", "Pay is $90,000 per year."),
        ("75% of testers have a degree.", "75th percentile: $90,000"),
        ("A quarter of them earn less than $90,000.", "75th percentile: $90,000"),
        ("Half of them have a degree.", "Median pay: $90,000"),
        ("It takes 2.5 hours.", "It takes 140 minutes."),
        ("At most firms, pay is $200,000.", "Pay: $109,143 to $200,000"),
        ("Pay is $60,000 plus a bonus.", "Pay is $60,000-$90,000 plus a bonus."),
        ("not more than three tests", "more than three tests"),
        ("no fewer than five people", "no more than five people"),
        ("in the tenth year", "in the sixth year"),
        ("112,000 euros", "Basel: 112,000 Swiss francs, Dublin: €61,000"),
    ],
)
def test_a_figure_that_the_evidence_does_not_give_is_missing(claim: str, evidence: str) -> None:
    assert missing_figures(claim, evidence)


@pytest.mark.parametrize(
    ("claim", "missing"),
    [
        ("Up to 10 years are required.", []),
        ("Up to 5 years are required.", ["5"]),
        ("At least 5 years are required.", []),
        ("At least 10 years are required.", ["10"]),
        ("The lower end, 5 years, is common.", []),
        ("The lower end, 10 years, is common.", ["10"]),
        ("At most, a role requires 10 years.", []),
        ("At most, a role requires 5 years.", ["5"]),
        ("5 years or more are required.", []),
        ("10 years or more are required.", ["10"]),
        ("At least half a decade is required.", []),
    ],
)
def test_one_end_of_a_range_is_the_end_that_it_is_said_to_be(
    claim: str, missing: list[str]
) -> None:
    found = missing_figures(claim, "A senior role requires 5-10 years.")
    assert [figure.text for figure in found] == missing


def test_a_number_of_years_is_no_rival_of_a_number_of_branches() -> None:
    evidence = (
        "School leavers join a trainee scheme of two years that combines branch work and school.\n"
        "Trainees rotate through three branches near their home, and leads run four offices."
    )
    assert not misplaced_figure("Trainees work in three branches near home.", evidence)
    assert misplaced_figure("Leads run three offices.", evidence)


BY_CITY = "The process takes 24 days on average in Leipzig and 31 days in Porto."
BY_VET = (
    "Pet vets work an average of 41 hours a week, livestock vets 49 hours, inspectors 37 hours."
)


@pytest.mark.parametrize(
    ("claim", "evidence", "misplaced"),
    [
        ("In Porto the process takes 31 days on average.", BY_CITY, False),
        ("In Leipzig the process takes 31 days on average.", BY_CITY, True),
        ("In Porto the process takes 24 days on average.", BY_CITY, True),
        ("Livestock vets work an average of 49 hours a week.", BY_VET, False),
        ("Inspectors work 37 hours a week on average.", BY_VET, False),
        ("Inspectors work an average of 49 hours a week.", BY_VET, True),
        ("Pet vets work 37 hours a week on average.", BY_VET, True),
        ("Nurses earn 60,000.", "Junior nurses earn 30,000 a year and doctors 60,000.", True),
        (
            "Rents in Houston take 38 percent, against 22 percent in San Francisco.",
            "Rents in San Francisco take 38 percent, against 22 percent in Houston.",
            True,
        ),
    ],
)
def test_a_short_clause_says_what_the_one_before_it_says(
    claim: str, evidence: str, misplaced: bool
) -> None:
    assert bool(misplaced_figure(claim, evidence)) == misplaced


@pytest.mark.parametrize(
    ("claim", "asked", "group"),
    [
        ("The gap between men and women is 5%.", "How wide is the pay gap?", "translators"),
        ("The gap is 5% among translators.", "How wide is the pay gap?", ""),
        ("The gap is 5%.", "How wide is the pay gap of translators?", ""),
        ("There is a gap.", "How wide is the pay gap?", ""),
    ],
)
def test_a_figure_of_one_group_among_several_needs_its_group(
    claim: str, asked: str, group: str
) -> None:
    evidence = "The gap between men and women was 5 per cent among translators and 9 among writers."
    assert unnamed_group(claim, evidence, asked) == group
    assert unnamed_group(claim, "The gap was 5 per cent among translators.", asked) == ""


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        (
            "Among translators the gap is 5%.",
            "Among translators the gap was 5 per cent and among writers 9 per cent.",
        ),
        ("The programme has 12 modules.", "The programme has 12 modules and ends in 3 exams."),
        ("The course lasts 3 years.", "It lasts 3 years in total, of which 1 year is abroad."),
    ],
)
def test_what_stands_beside_another_figure_is_not_always_a_group(claim: str, evidence: str) -> None:
    assert unnamed_group(claim, evidence, "") == ""


BY_GRADE = """Grade: Engineer; On joining: 33,700; After three years: 37,200; Leave: 24 days
Grade: Mate; On joining: 38,200; After three years: 42,800; Leave: 28 days"""


@pytest.mark.parametrize(
    ("claim", "misplaced"),
    [
        ("Engineers earn 33,700 on joining.", False),
        ("Engineers earn 37,200 after three years.", False),
        ("After three years a mate earns 42,800.", False),
        ("Mates have 28 days of leave.", False),
        ("Engineers earn 33,700 after three years.", True),
        ("Engineers earn 37,200 on joining.", True),
        ("Engineers earn 38,200 on joining.", True),
        ("After three years an engineer earns 42,800.", True),
        ("Mates have 24 days of leave.", True),
    ],
)
def test_a_figure_of_a_table_belongs_to_its_row_and_its_column(claim: str, misplaced: bool) -> None:
    assert bool(misplaced_figure(claim, BY_GRADE)) == misplaced


SHIPS = """Pay aboard.
Rank: Cook; Coast: 31,000; Ocean: 38,500
Rank: Mate; Coast: 44,000; Ocean: 57,000
Rank: Master; Coast: 61,000; Ocean: 80,000"""


BANKS = """Pay by year.
Firm: Bank; First year: $275,000; Second year: $320,000; Senior: $375,000
Firm: Boutique; First year: $305,000; Second year: $345,000; Senior: $410,000
Firm: Large firm; First year: $250,000; Second year: $290,000; Senior: $340,000"""
YEARS = """Results.
Year: 2021; Revenue: 40 million; Staff: 310
Year: 2022; Revenue: 44 million; Staff: 305
Year: 2023; Revenue: 51 million; Staff: 330"""


@pytest.mark.parametrize(
    ("claim", "evidence", "fault"),
    [
        ("Boutiques pay $25,000 more than banks in the second year.", BANKS, False),
        ("Boutiques pay $30,000 more than banks in the second year.", BANKS, True),  # in the first
        ("Banks pay $45,000 more in the second year than in the first.", BANKS, False),
        ("Boutiques pay $20,000 more than large firms in the second year.", BANKS, True),
        ("Banks pay $45,000 in the second year, more than in the first.", BANKS, True),
        ("A bank pays $320,000 in the second year, and a boutique $25,000 more.", BANKS, False),
        ("Bank pay goes up from $275,000 to $320,000 in the second year.", BANKS, False),
        ("Bank pay goes up from $275,000 to $345,000 in the second year.", BANKS, True),
        ("First and second year together bring $595,000 at a bank.", BANKS, False),
        ("Revenue was higher in 2023 than in 2022.", YEARS, False),
        ("Revenue was lower in 2023 than in 2022.", YEARS, True),
        ("On the ocean a mate earns 13,000 more than on the coast.", SHIPS, False),
        ("A mate on the coast earns 13,000 more than a cook there.", SHIPS, False),
        ("A mate on the coast earns 14,000 more than a cook there.", SHIPS, True),
        ("A master earns 80,000 on the ocean, about 20,000 above the coast.", SHIPS, False),
        ("A master earns 80,000 on the ocean, 12,000 above the coast.", SHIPS, True),
        ("A mate on the ocean earns 13,000.", SHIPS, True),
        ("On the coast the cook earns the least of the three.", SHIPS, False),
        ("On the coast the cook earns the least of the four.", SHIPS, True),
        ("Its share rose by 17 points.", "Trade. It is 58 % now; in 2015 it was 41 %.", False),
        ("Its share rose by 19 points.", "Trade. It is 58 % now; in 2015 it was 41 %.", True),
        ("Pay rose from 31 to 38 euros.", "Pay. It was 31 euros; now it is 38 euros.", False),
        ("Pay ranges from 31 to 38 euros.", "Pay. Ann has 31 euros, Bo 38 euros.", True),
        ("It grew between 2022 and 2024.", "Size in 2022: 40. Size in 2024: 50.", False),
        ("It grew between 2021 and 2024.", "Size in 2022: 40. Size in 2024: 50.", True),
        ("A cook has more in 2024 than in 2023.", "2023: 40 euros\n2024: 50 euros", False),
    ],
)
def test_what_the_evidence_makes_of_its_figures_is_no_fault(
    claim: str, evidence: str, fault: bool
) -> None:
    assert bool(Comparison(claim, evidence).fault) is fault
