"""The tables that the commands print for people."""

from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.cli import screen

if TYPE_CHECKING:
    from ..compare import Comparison
    from ..records import Run

_LONGEST = 400  # characters of an answer in a table


def of_answers(report: Mapping[str, Any]) -> list[Table]:
    """Speed and quality of answers."""
    speed = report["speed"]
    times = new(
        f"Speed, {report['n']} questions, {report['machine']['cpu']}", "", "median", "p90", "n"
    )
    for name, row in speed.items():
        if name != "backends":
            times.add_row(name, number(row["median"]), number(row["p90"]), str(row["n"]))
    quality = new(f"Quality, {report['cases']['split']} cases", "", "rate", "count", "of")
    for name, row in report["quality"].items():
        quality.add_row(name, number(row["rate"]), str(row["count"]), str(row["n"]))
    return [times, *_of_backends(speed["backends"]), quality]


def _of_backends(backends: Mapping[str, Any] | None) -> list[Table]:
    if backends is None:
        return []
    if "skipped" in backends:
        screen.log(str(backends["skipped"]))
        return []
    table = new("The same GGUF file", "", "load s", "tokens/s")
    for name in ("llama_cpp", "transformers"):
        table.add_row(name, *(number(backends[name][key]) for key in ("load_s", "tokens_per_s")))
    table.add_row("ratio", number(backends["load_ratio"]), number(backends["decode_ratio"]))
    return [table]


def of_drafts(report: Mapping[str, Any]) -> list[Table]:
    """What is displayed of drafts that were given, and why the rest is not."""
    shares = new(f"Drafts of {report['n']} questions, sentences", "", "rate", "count", "of")
    for name in ("right_displayed", "wrong_displayed"):
        row = report[name]
        shares.add_row(name, number(row["rate"]), str(row["count"]), str(row["n"]))
    reasons = new("Right sentences not displayed", "", "count")
    for reason, count in report["reasons"].items():
        reasons.add_row(reason, str(count))
    return [shares, reasons]


def of_retrieval(report: Mapping[str, Any]) -> Table:
    """How well queries find their documents."""
    metrics = ("recall@10", "ndcg@10", "mrr")
    table = new(f"Retrieval, {report['n']} queries", "", *metrics, "queries/s")
    for name, arm in report["arms"].items():
        cells = [
            f"{number(arm[m]['mean'])} ({number(arm[m]['low'])}-{number(arm[m]['high'])})"
            for m in metrics
        ]
        table.add_row(name, *cells, number(arm["queries_per_s"]))
    return table


def of_search(report: Mapping[str, Any]) -> list[Table]:
    """How fast the nearest vectors are found, what that takes, and what there is to say."""
    tables = []
    notes = new("Notes", "", "n", "")
    by_size: dict[int, list[Mapping[str, Any]]] = {}
    for row in report["rows"]:
        by_size.setdefault(row["n"], []).append(row)
    for n, rows in by_size.items():
        measured = [row for row in rows if "batch" in row]
        told = f"{n:,} vectors ({measured[0]['vectors']})" if measured else f"{n:,} vectors"
        speed = new(f"Search in {told}", "", "batch", *(column for column, _ in _SPEED))
        costs = new(f"What it takes, {n:,} vectors", "", *(column for column, _ in _COSTS))
        for row in measured:
            speed.add_row(row["arm"], str(row["batch"]), *(number(row[key]) for _, key in _SPEED))
            if row["batch"] == 1:
                costs.add_row(row["arm"], *(number(row[key]) for _, key in _COSTS))
        for row in rows:
            if row["note"] and row.get("batch", 1) == 1:
                notes.add_row(row["arm"], f"{n:,}", row["note"])
        tables += [speed, costs] if measured else []
    cpu = report["machine"]["cpu"]
    notes.add_row("all", "", f"tuned to recall@10 {report['recall_target']:g}; on {cpu}")
    return [*tables, notes]


_SPEED = (
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("queries/s", "queries_per_s"),
    ("recall@10", "recall_at_10"),
)
_COSTS = (
    ("build s", "build_s"),
    ("open ms", "open_ms"),
    ("RSS MB", "rss_mb"),
    ("disk MB", "disk_mb"),
    ("add ms", "add_ms"),
    ("remove ms", "remove_ms"),
    ("1 % ms", "filter_ms"),
    ("1 % recall", "filter_recall_at_10"),
)


def of_ingest(report: Mapping[str, Any]) -> list[Table]:
    """How fast chunks are embedded, and what a whole index takes."""
    keys = ("chunks_per_s", "ratio", "smallest_cosine", "recall_at_10")
    title = f"Embedding {report['chunks']:,} chunks on {report['device']}"
    speed = new(title, "", "chunks/s", "ratio", "smallest cosine", "recall@10")
    whole = new("A whole index", "", "chunks", "build s", "changed files", "again s", "share")
    for row in report["rows"]:
        if "reingest_share" in row:
            cells = [number(row[k]) for k in ("build_s", "changed", "reingest_s", "reingest_share")]
            whole.add_row(row["arm"], str(row["n"]), *cells)
        else:
            speed.add_row(row["arm"], *(number(row[key]) for key in keys))
    return [speed, *([whole] if whole.rows else [])]


def of_judge(report: Mapping[str, Any]) -> Table:
    """How far a judge agrees with people."""
    name = report["pairs"]["file"]
    table = new(f"{report['n']} labelled pairs, {name}", "", "value", "95 % from", "to")
    for arm in ("whole_check", "model", "word_overlap"):
        for metric, row in report[arm].items():
            cells = [number(row[key]) for key in ("value", "low", "high")]
            table.add_row(f"{arm}: {metric}", *cells)
    return table


def of_calibration(report: Mapping[str, Any]) -> Table:
    """How often claims were labelled supported, by their score."""
    table = new("Calibration of the score", "score", "mean", "labelled supported", "n")
    for row in report["calibration"]:
        cells = (number(row["score"]), number(row["supported"]), str(row["n"]))
        table.add_row(f"{row['from']:g} to {row['to']:g}", *cells)
    return table


def of_systems(report: Mapping[str, Any]) -> list[Table]:
    """Answers of known quality: their faithfulness, and by how much they differ."""
    systems = new(f"Answers of known quality, n = {report['n']}", "", "faithfulness", "95 %")
    for name, row in report["systems"].items():
        systems.add_row(name, number(row["value"]), _between(row))
    apart = new("Paired differences", "", "difference", "95 %")
    for name, row in report["differences"].items():
        apart.add_row(name, number(row["value"]), _between(row))
    return [systems, apart]


def of_ranking(report: Mapping[str, Any]) -> Table:
    """How good a ranking is."""
    table = new(f"Ranking, {report['queries_not_in_run']} queries not in it", "", "value", "95 %")
    for name, row in report["metrics"].items():
        table.add_row(name, number(row["value"]), _between(row))
    return table


def of_run(run: "Run") -> list[Table]:
    """Metrics and gates of a run."""
    from ..metrics import BY_NAME

    metrics = new(f"{len(run.items)} cases", "", "value", "95 %", "judged", "better")
    for name, value in run.metrics.items():
        judged = f"{value.judged} of {value.n}"
        row = (number(value.value), _between(vars(value)), judged, BY_NAME[name].better)
        metrics.add_row(BY_NAME[name].title, *row)
    if not run.gates:
        return [metrics]
    gates = new("Gates", "", "", "")
    for gate in run.gates:
        gates.add_row(gate.name, "passed" if gate.passed else "FAILED", gate.said)
    return [metrics, gates]


def of_comparison(found: "Comparison") -> list[Table]:
    """Differences, and the answers that changed side by side."""
    from ..metrics import BY_NAME

    title = f"B less A over {found.n} common cases"
    table = new(title, "", "A", "B", "difference", "95 %", "p", "n", "B is")
    for d in found.differences:
        p = "-" if d.p is None else f"{d.p:.3f}"
        cells = (number(d.a), number(d.b), number(d.value), _between(vars(d)), p, str(d.n))
        table.add_row(BY_NAME[d.metric].title, *cells, d.verdict)
    changes = new("Answers that changed", "", "question", "A", "B")
    for change in found.changes:
        shown = (change.a.question, change.a.answer, change.b.answer)
        changes.add_row(change.now, *(_cell(text) for text in shown), end_section=True)
    notes = new("Not compared", "")
    for note in found.notes:
        notes.add_row(note)
    return [table, *([changes] if found.changes else []), *([notes] if found.notes else [])]


def _between(row: Mapping[str, Any]) -> str:
    return "-" if row["low"] is None else f"{row['low']:g} to {row['high']:g}"


def _cell(text: str) -> Text:
    return Text(screen.shortened(screen.printable(text), _LONGEST))


def new(title: str, *columns: str) -> Table:
    """An empty table."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def number(value: float | None) -> str:
    """A number as it is shown; a dash for none."""
    return "-" if value is None else f"{value:g}"


def tell(*tables: Table) -> None:
    """Print `tables` on stdout."""
    drawn = StringIO()
    console = Console(file=drawn, width=110)
    for table in tables:
        console.print(table)
    screen.out(drawn.getvalue())
