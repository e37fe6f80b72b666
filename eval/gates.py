"""Gates: what a run must reach, and what it may not lose against an earlier one."""

from collections.abc import Mapping, Sequence

from corpus.errors import UsageError

from .compare import WORSE, compare
from .metrics import BY_NAME
from .records import Gate, Run


def limits(given: Sequence[str]) -> dict[str, float]:
    """The limits of options like `facts_held=0.85`, by metric.

    Raises:
        UsageError: one is no metric and number.
    """
    found: dict[str, float] = {}
    for option in given:
        name, _, value = option.partition("=")
        if name not in BY_NAME:
            raise UsageError(f"{option!r} names no metric", f"metrics are: {', '.join(BY_NAME)}")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise UsageError(f"{option!r} gives no number", f"write {name}=0.9") from error
        if not 0 <= found[name] <= 1:
            raise UsageError(f"{option!r} is not between 0 and 1", f"write {name}=0.9")
    return found


def judged(
    run: Run, least: Mapping[str, float], most: Mapping[str, float], baseline: Run | None
) -> tuple[Gate, ...]:
    """Every gate of the run."""
    against = _against(run, baseline) if baseline else ()
    return (*_limits(run, least, most), *against)


def _limits(run: Run, least: Mapping[str, float], most: Mapping[str, float]) -> tuple[Gate, ...]:
    """Whether each metric keeps its limit; one that was never judged does not."""
    wanted = [(name, limit, ">=") for name, limit in least.items()]
    wanted += [(name, limit, "<=") for name, limit in most.items()]
    return tuple(_limit(run, name, limit, sign) for name, limit, sign in wanted)


def _against(run: Run, baseline: Run) -> tuple[Gate, ...]:
    """Whether each metric is no worse than in `baseline`, as far as the common cases tell.

    What different judges found cannot be compared, and passes no gate.
    """
    before, now = (r.manifest.get("judge") for r in (baseline, run))
    same = Gate("the judge of the baseline", before == now, f"{before} before, {now} now")
    regressions = [
        Gate(
            f"{d.metric} no worse than the baseline",
            d.verdict != WORSE,
            f"{d.a:g} before, {d.b:g} now: {d.verdict} (n = {d.n})",
        )
        for d in compare(baseline, run).differences
    ]
    return (same, *regressions)


def _limit(run: Run, name: str, limit: float, sign: str) -> Gate:
    title = f"{name} {sign} {limit:g}"
    value = run.metrics.get(name)
    if value is None or value.value is None:
        return Gate(title, False, "no case was judged for it")
    passed = value.value >= limit if sign == ">=" else value.value <= limit
    return Gate(title, passed, f"{value.value:g} over {value.judged} of {value.n} answers")
