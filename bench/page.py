"""The page of speed and memory: bench/results/*.csv -> reports/speed/README.md and growth.png.

`python -m bench.page` writes it anew. Every measured number on it is one of the CSVs.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bench import ROOT
from bench.growth import draw_growth
from bench.limits import LIMITS, Limit
from bench.measure import Options, Row
from bench.sections import TABLES
from geomix.files import replace_file
from geomix.report.text import markdown_table

RESULTS = Path("bench/results")
PAGE = Path("reports/speed")
COLUMNS = [
    *("table", "case", "implementation", "baseline", "ratio", "seconds", "baseline_seconds"),
    *("memory_ratio", "extra_mib", "baseline_extra_mib", "peak_mib", "rounds", "difference"),
    *("pairs", "n", "d", "sample", "least_seconds", "item_bytes", "baseline_peak_mib"),
    *("images_per_second", "baseline_images_per_second", "utilisation", "baseline_utilisation"),
    *("network", "baseline_network", "startup_seconds", "processes"),
    *("data", "forward", "loss", "backward", "update"),
]
# Headings of the page, with the columns of the CSVs whose figures stand below them.
HEADINGS = {
    "time ratio": ["ratio"],
    "seconds": ["seconds", "baseline_seconds"],
    "least seconds": ["least_seconds"],
    "start-up seconds": ["startup_seconds"],
    "processes": ["processes"],
    "images/s": ["images_per_second", "baseline_images_per_second"],
    "FLOP utilisation": ["utilisation", "baseline_utilisation"],
    "memory ratio": ["memory_ratio"],
    "extra MiB": ["extra_mib", "baseline_extra_mib"],
    "peak MiB": ["peak_mib", "baseline_peak_mib"],
    "differ by": ["difference"],
    "pairs": ["pairs"],
    "lists": ["sample"],
    "bytes of an item": ["item_bytes"],
    "data": ["data"],
    "forward": ["forward"],
    "loss": ["loss"],
    "backward": ["backward"],
    "update": ["update"],
    "network's share": ["network", "baseline_network"],
}
# Tables in which a heading does not stand, to keep them within seven columns.
HIDDEN = {"lists": {*chain(*TABLES.values())} - {"check"}, "seconds": {"training"}}
NOTHING = "not measured"
DIFFERENCES = {"accuracy": "largest relative error", "check": "lists that differ"}
TITLE = "# Speed and memory\n"
HEAD = """## How to read this page

What losses, rules for negatives, search, metrics, images, training and the default flow cost on
the machines named at the end, each table on one of them, beside the formulas of the released code,
pytorch-metric-learning and torchvision. A time ratio is "time of the first / time of the second":
above 1 the first is slower. It is the median over rounds, in each of which all run in turn.
Seconds are medians too, so their quotient is near the ratio but not equal to it. Extra memory is
the peak of one call in a fresh process, above what the process held before. Where a cell has two
figures, they are those of the first and the second. What was asked for stands in brackets. Inputs
are clustered Gaussians with fixed seeds. Ratios carry over to other machines only roughly;
seconds do not.

A batch of 9 views x 100 classes holds 900 embeddings. With free radii no point is clipped, else all
are. "First 32" are the 32 nearest items of each. R is the number of items of a query's class; max R
is the largest. Uniform is the loss without a rule for negatives.
"""
REPEAT = f"""## Repeat it

With nothing else running, from the root of the repository:

```bash
{chr(10).join(f"python -m bench.{name}" for name in TABLES)}
```

Each writes its CSV in `bench/results` and this page anew; `python -m bench.page` writes the page
alone. `python -m bench.systems` measures the losses of the systems, for their own page.
`bench/measure.py` says how time and memory are measured. `bench/released.py` holds the released
formulas; tests compare them with arrays that the released code wrote.
"""
GROWTH = """![Seconds over batch, dimensions and gallery, both axes logarithmic](growth.png)

*Seconds of the hyperbolic loss with its gradient, over the batch and over the dimensions, and of
the hyperbolic search, over the gallery. Both axes are logarithmic; lower is faster. A point far
above its line may hold a wait for memory: see the growth of the loss below.*
"""


def describe_machine(threads: int) -> dict[str, str]:
    """Return what figures depend on: the kind of CPU, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    packages = {
        "torch": "torch",
        "faiss": "faiss-cpu",
        "pytorch-metric-learning": "pytorch-metric-learning",
    }
    versions = {name: version(package).split("+")[0] for name, package in packages.items()}
    kind = f"{next(models, platform.machine())}, {torch.backends.cpu.get_cpu_capability()}"
    python = ".".join(platform.python_version_tuple()[:2])
    return {"cpu": kind, "threads": str(threads), "python": python, **versions}


def write_csv(bench: str, rows: list[Row], options: Options) -> pd.DataFrame:
    """Write the rows of a benchmark with the machine they are from.

    Returns:
        The rows as they can be read again.
    """
    table = pd.DataFrame(rows).reindex(columns=COLUMNS).assign(**describe_machine(options.threads))
    path = options.out / RESULTS / f"{bench}.csv"
    replace_file(path, table.to_csv(index=False, float_format="%.6g").encode())
    return read_csv(path)


def read_csv(path: Path) -> pd.DataFrame:
    """Read the rows of a benchmark."""
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
    parts = [TITLE, verdict(found), *[GROWTH] * picture, slower(found), HEAD]
    for bench, table in found.items():
        for name, section in TABLES[bench].items():
            if (table["table"] == name).any():
                text = table_text(bench, name, table)
                parts.append(f"## {section.title}\n\n{section.text}\n\n{text}\n")
    return "\n".join([*parts, REPEAT, machines(found)])


def verdict(found: Mapping[str, pd.DataFrame]) -> str:
    """Return a sentence on the limits, a table of them, and the cases that miss one."""
    lines, missed = [], []
    for limit in LIMITS:
        rows = records(found[limit.bench]) if limit.bench in found else []
        rows = [row for row in rows if limit.applies(limit.bench, row)]
        late = [row for row in rows if not limit.met(row[limit.column])]
        lines.append(describe_limit(limit, rows, late))
        for row in late:
            figure = f"{heading(limit)} {number(row[limit.column])}, asked {limit.words()}"
            missed.append(f"- {row['case']}, {subject(row)}: {figure}")
    answers = [line["met"] for line in lines]
    kept, open_ = answers.count("yes"), answers.count("")
    others = f"; {open_} {'was' if open_ == 1 else 'were'} not measured" if open_ else ""
    sentence = f"{kept} of the {len(LIMITS)} limits that were asked for are met{others}."
    text = f"**{sentence}**\n\n{markdown_table(lines)}\n"
    return text + "\n".join(["", "Missed:", "", *missed, ""]) if missed else text


def slower(found: Mapping[str, pd.DataFrame]) -> str:
    """List what is faster elsewhere: ratios below 1 of another's time to ours."""
    lines = [
        f"- {row['case']}, {subject(row)}: {number(row['ratio'])}"
        for table in found.values()
        for row in records(table)
        if "geomix" in str(row["baseline"])
        and "geomix" not in row["implementation"]
        and row["ratio"] < 1
    ]
    return "\n".join(["Others are faster (time ratio):", "", *(lines or ["- nowhere"]), ""])


def describe_limit(limit: Limit, rows: list[Row], late: list[Row]) -> dict[str, str]:
    """Return a line of the table of limits: what was asked, and the range of what was measured."""
    values = sorted(float(row[limit.column]) for row in rows)
    ends = dict.fromkeys(number(value) for value in values[:1] + values[-1:])
    within = f", {limit.within}" if limit.within else ""
    return {
        "table": TABLES[limit.bench][limit.table].title,
        "of": " / ".join(filter(None, (limit.implementation, limit.baseline))) + within,
        "quantity": heading(limit),
        "asked": limit.words(),
        "measured": " to ".join(ends) or NOTHING,
        "met": "" if not rows else "NO" if late else "yes",
    }


def heading(limit: Limit) -> str:
    """Return what a limit bounds, in the words of its table."""
    name = next(name for name, columns in HEADINGS.items() if limit.column in columns)
    if limit.column == "difference":
        return DIFFERENCES.get(limit.table, name)
    return f"{name} of the second" if limit.column.startswith("baseline_") else name


def machines(found: Mapping[str, pd.DataFrame]) -> str:
    """Return what each CSV was measured on."""
    lines = []
    for bench, table in found.items():
        names = [name for name in table.columns if name not in COLUMNS]
        machine = ", ".join(f"{name} {table[name].iloc[0]}" for name in names)
        lines.append(f"- [{bench}.csv](../../{RESULTS}/{bench}.csv): {machine}")
    return "\n".join(["<details><summary>Measured on</summary>", "", *lines, "", "</details>", ""])


def table_text(bench: str, name: str, table: pd.DataFrame) -> str:
    """Return a table of the page as Markdown, empty columns left out."""
    rows = [line(bench, row) for row in records(table[table["table"] == name])]
    used = [column for column in rows[0] if any(row[column] for row in rows)]
    _, _, *figures = used
    for row in rows:
        if figures and not any(row[column] for column in figures):
            row[figures[0]] = NOTHING
    return markdown_table([{column: row[column] for column in used} for row in rows])


def line(bench: str, row: Row) -> dict[str, str]:
    """Return a line of a table as text, the limits behind the figures that they bound."""
    limits = {limit.column: limit for limit in LIMITS if limit.applies(bench, row)}
    cells = {"case": str(row["case"]), "of": subject(row)}
    for name, columns in HEADINGS.items():
        title = DIFFERENCES.get(row["table"], name) if columns == ["difference"] else name
        shown = row["table"] not in HIDDEN.get(name, ())
        figures = [figure(row.get(column), limits.get(column)) for column in columns * shown]
        cells[title] = " / ".join(filter(None, figures))
    return cells


def figure(value: float | None, limit: Limit | None) -> str:
    """Write a measured number, and in brackets what was asked for."""
    if limit is None or value is None:
        return number(value)
    missed = "" if limit.met(value) else ", missed"
    return f"{number(value)} ({limit.words()}{missed})"


def subject(row: Row) -> str:
    """Name what a row is about: a quotient, or one implementation."""
    pair = row["baseline"] and pd.notna(row["ratio"])
    return f"{row['implementation']} / {row['baseline']}" if pair else str(row["implementation"])


def number(value: float | None) -> str:
    """Write a measured number with three digits; nothing where there is none."""
    if value is None or pd.isna(value):
        return ""
    if abs(value) < 1e-3:
        return f"{value:.1e}" if value else "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


if __name__ == "__main__":
    write_page(ROOT)
