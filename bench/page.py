"""The page of speed and memory: bench/results/*.csv -> reports/speed/README.md and growth.png.

`python -m bench.page` writes it anew. Every measured number on it is one of the CSVs.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bench import ROOT
from bench.growth import draw_growth
from bench.limits import LIMITS
from bench.measure import Options, Row
from geomix.files import replace_file
from geomix.report.text import markdown_table

RESULTS = Path("bench/results")
PAGE = Path("reports/speed")
COLUMNS = [
    *("table", "case", "implementation", "baseline", "ratio", "seconds", "baseline_seconds"),
    *(
        "memory_ratio",
        "extra_mib",
        "baseline_extra_mib",
        "peak_mib",
        "rounds",
        "difference",
        "pairs",
        "n",
        "d",
        "sample",
    ),
]
TABLES = {
    "loss": ["pairwise", "supervised", "accuracy", "growth"],
    "negatives": ["rules"],
    "search": ["gallery", "check", "large", "growth"],
    "metrics": ["metrics"],
    "images": ["batch", "pack"],
}
HEADINGS = {
    "ratio": "time ratio",
    "memory_ratio": "memory ratio",
    "difference": "differ by",
    "seconds": "seconds",
    "baseline_seconds": "seconds of the second",
    "extra_mib": "extra MiB",
    "baseline_extra_mib": "extra MiB of the second",
    "peak_mib": "peak MiB",
    "pairs": "pairs",
    "sample": "lists",
    "rounds": "rounds",
}
TITLES = {
    ("loss", "pairwise"): "Loss: against the released formula",
    ("loss", "supervised"): "Loss: against pytorch-metric-learning",
    ("loss", "accuracy"): "Loss: largest relative error of a distance",
    ("loss", "growth"): "Loss: growth",
    ("negatives", "rules"): "Loss: rules for negatives",
    ("search", "gallery"): "Search: against the released formula",
    ("search", "check"): "Search: lists against the definition",
    ("search", "large"): "Search: a large gallery",
    ("search", "growth"): "Search: growth",
    ("metrics", "metrics"): "Metrics: against pytorch-metric-learning",
    ("images", "batch"): "Images: augmented batches",
    ("images", "pack"): "Images: packing",
}
TEXTS = {
    (
        "loss",
        "pairwise",
    ): """Pairwise cross-entropy, from float32 embeddings to the loss and its gradient, dimensions 128. The released formula
builds a matrix for each pair of views, in float32. No system was released with the flat geometry: there the same loop
calls `torch.cdist`. "Differ by" compares loss and gradient, each relative to its largest value; the released ball adds
small constants to its denominators, so it differs more.""",
    (
        "loss",
        "supervised",
    ): """From embeddings to the gradient, dimensions 128; Proxy-Anchor gives the proxies a gradient too. The peer computes the
cosine; a line of another geometry shows what curvature costs beside it. NT-Xent of the peer lists all pairs of a positive
and a negative: more than 20 GB for a batch of 900 with 9 views, so it is measured on a small batch only.""",
    (
        "loss",
        "accuracy",
    ): """Distances d, taken back from float32 logits, against explicit differences in float64. Points within the clip radius
and on it; pairs at random, and near copies.""",
    (
        "loss",
        "growth",
    ): """Pairwise cross-entropy with the gradient. One matrix product of the embeddings with themselves in float32 is the
yardstick. The released formula is not run above a batch of 900, nor where it needs most of the free memory.""",
    (
        "negatives",
        "rules",
    ): """From embeddings to the gradient, dimensions 128, each rule over uniform, on one thread, as a cell is trained on the CPU.
Rules have the settings of the systems with labels hidden. A rule may take a third longer than uniform, but for three that need
clusters or gradients, whose cost this table states: `cluster` compares with centroids, `doubly_contrastive` with prototypes,
and `mixed_importance` takes the gradient of the uniform loss once more.""",
    (
        "search",
        "gallery",
    ): """Each item's nearest others, exactly and in a fixed order. The released formula computes a row of distances at a time,
in float32; its time is taken on some of the rows and scaled by their number, its memory on all rows. faiss is its flat
index on the inner products that order as the geometry, in float32 and as they come: near-ties and the order of ties are
its rounding's.""",
    (
        "search",
        "check",
    ): """Lists of a sample of queries against explicit differences in float64, compared place by place.""",
    (
        "search",
        "large",
    ): """Whole processes, one search each: the seconds of the search, and the highest resident memory of the process, Python
and libraries included.""",
    (
        "search",
        "growth",
    ): """All inner products of the gallery with itself in float32, without looking for the largest, are the yardstick.
The released formula is timed on some of the rows and scaled.""",
    (
        "metrics",
        "metrics",
    ): """From embeddings to R@1, R-precision, MAP@R and MRR. The peer gets normalised embeddings, and searches by Euclidean
distance. With lists of max R (`k="max_bin_count"`) it computes the same numbers as we do. By default it ranks the whole
gallery: its MRR is then of the whole ranking, and is not compared.""",
    (
        "images",
        "batch",
    ): """Random-resized crops, flips and normalisation of photographs, from the files as they came (encoded) and from packed
squares of 256 px (decoded), beside torchvision's transforms of loose files in a DataLoader of two processes.""",
    (
        "images",
        "pack",
    ): """A fresh process for each form; memory is the highest sum over it and its workers.""",
}
TITLE = "# Speed and memory\n"
HEAD = """## How to read this page

What losses, rules for negatives, search, metrics and images cost, beside the formulas of the released code and beside
pytorch-metric-learning and torchvision, on one machine. A time ratio is "time of the first / time of the second": above 1 the
first is slower. It is the median over rounds, in each of which all run in turn; seconds are medians too, so their quotient
is near the ratio but not equal to it. Extra memory is the peak of one call in a fresh process, above what the process held
before. Inputs are clustered Gaussians with fixed seeds. Ratios carry over to other machines only roughly; seconds do not.
"""
REPEAT = """## Repeat it

With nothing else running, from the root of the repository:

```bash
python -m bench.loss
python -m bench.negatives
python -m bench.search
python -m bench.metrics
python -m bench.images
```

Each writes its CSV in `bench/results` and this page anew; `python -m bench.page` writes the page alone.
`bench/measure.py` says how time and memory are measured, `bench/released.py` holds
the released formulas, and tests compare them with arrays that the released code wrote.
"""


def describe_machine(threads: int) -> dict[str, str]:
    """Give the kind of CPU, threads and versions: what the figures depend on. No names, no dates, no paths."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    packages = {
        "torch": "torch",
        "faiss": "faiss-cpu",
        "pytorch-metric-learning": "pytorch-metric-learning",
    }
    versions = {name: version(package).split("+")[0] for name, package in packages.items()}
    kind = f"{model}, {torch.backends.cpu.get_cpu_capability()}"
    return {
        "cpu": kind,
        "threads": str(threads),
        "python": ".".join(platform.python_version_tuple()[:2]),
    } | versions


def write_csv(bench: str, rows: list[Row], options: Options) -> pd.DataFrame:
    """Write the rows of a bench with the machine they are from; give them as they can be read again."""
    table = pd.DataFrame(rows).reindex(columns=COLUMNS).assign(**describe_machine(options.threads))
    path = options.out / RESULTS / f"{bench}.csv"
    replace_file(path, table.to_csv(index=False, float_format="%.6g").encode())
    return read_csv(path)


def read_csv(path: Path) -> pd.DataFrame:
    """Read the rows of a bench."""
    return pd.read_csv(path, dtype={"baseline": str, "python": str}).fillna({"baseline": ""})


def write_page(root: Path) -> None:
    """Write the page and its figure from the CSVs that are there.

    Args:
        root: The repository, or a folder in its place.
    """
    paths = {bench: root / RESULTS / f"{bench}.csv" for bench in TABLES}
    found = {bench: read_csv(path) for bench, path in paths.items() if path.is_file()}
    picture = draw_growth(found)
    if picture:
        replace_file(root / PAGE / "growth.png", picture)
    replace_file(root / PAGE / "README.md", page(found, bool(picture)).encode())


def page(found: Mapping[str, pd.DataFrame], picture: bool) -> str:
    """Return the text of the page."""
    parts = [TITLE, verdict(found), HEAD]
    for bench, table in found.items():
        parts += [
            f"## {TITLES[bench, name]}\n\n{TEXTS[bench, name]}\n\n{table_text(bench, name, table)}\n"
            for name in TABLES[bench]
        ]
    if picture:
        parts.append(
            "## How cost grows\n\n![Time over the size of the batch, its dimensions and the size of a gallery](growth.png)\n"
        )
    return "\n".join([*parts, REPEAT, machines(found)])


def verdict(found: Mapping[str, pd.DataFrame]) -> str:
    """Give a table of the limits asked for, with the range of what was measured, and name the cases that miss one."""
    lines, missed = [], []
    for limit in LIMITS:
        rows = (
            [row for row in records(found[limit.bench]) if limit.applies(limit.bench, row)]
            if limit.bench in found
            else []
        )
        values = sorted(float(row[limit.column]) for row in rows)
        span = (
            "not measured"
            if not rows
            else number(values[0]) + (f" to {number(values[-1])}" if values[-1] > values[0] else "")
        )
        late = [row for row in rows if not limit.met(row[limit.column])]
        words = (
            f"{limit.implementation} / {limit.baseline}" if limit.baseline else limit.implementation
        )
        lines.append(
            {
                "table": TITLES[limit.bench, limit.table],
                "of": words + (f", {limit.within}" if limit.within else ""),
                "quantity": heading(limit.table, limit.column),
                "asked": limit.words(),
                "measured": span,
                "met": "" if not rows else "NO" if late else "yes",
            }
        )
        for row in late:
            figure = f"{heading(limit.table, limit.column)}: {number(row[limit.column])}"
            missed.append(f"- {row['case']}, {subject(row)}, {figure}, asked {limit.words()}")
    measured = [entry for entry in lines if entry["met"]]
    kept = sum(entry["met"] == "yes" for entry in measured)
    text = f"**{kept} of {len(measured)} limits asked for and measured are met.**\n\n{markdown_table(lines)}\n"
    return text + "\n".join(["", "Missed:", "", *missed, ""]) if missed else text


def heading(table: str, column: str) -> str:
    """Name a column of the CSVs in the words of a table."""
    if column == "difference":
        return {"accuracy": "largest relative error", "check": "lists that differ"}.get(
            table, "differ by"
        )
    return HEADINGS[column]


def machines(found: Mapping[str, pd.DataFrame]) -> str:
    """Say what each CSV was measured on."""
    lines = []
    for bench, table in found.items():
        what = ", ".join(f"{name} {table[name].iloc[0]}" for name in table.columns[len(COLUMNS) :])
        lines.append(f"- [{bench}.csv](../../{RESULTS}/{bench}.csv): {what}")
    return "\n".join(["<details><summary>Measured on</summary>", "", *lines, "", "</details>", ""])


def table_text(bench: str, name: str, table: pd.DataFrame) -> str:
    """Give a table of the page as Markdown: ratios first, limits beside what they bound, empty columns left out."""
    rows = [line(bench, row) for row in records(table[table["table"] == name])]
    used = [column for column in (rows[0] if rows else {}) if any(row[column] for row in rows)]
    return markdown_table([{column: row[column] for column in used} for row in rows])


def line(bench: str, row: Row) -> dict[str, str]:
    """Give a line of a table as text."""
    limits = {limit.column: limit for limit in LIMITS if limit.applies(bench, row)}
    cells = {"case": str(row["case"]), "of": subject(row)}
    for column in HEADINGS:
        title = heading(row["table"], column)
        shown = column != "sample" or row["table"] == "check"
        cells[title] = number(row[column]) if shown else ""
        limit = limits.get(column)
        cells[f"asked: {title}"] = (
            "" if limit is None else limit.words() + ("" if limit.met(row[column]) else " (missed)")
        )
    return cells


def subject(row: Row) -> str:
    """Name what a row is about: a quotient, or one implementation."""
    pair = row["baseline"] and pd.notna(row["ratio"])
    return f"{row['implementation']} / {row['baseline']}" if pair else str(row["implementation"])


def number(value: float) -> str:
    """Write a measured number with three digits; nothing where there is none."""
    if pd.isna(value):
        return ""
    if abs(value) < 1e-3:
        return f"{value:.1e}" if value else "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


if __name__ == "__main__":
    write_page(ROOT)
