"""All benchmarks run in small, and the page has no number that they did not write."""

import re
import sys
from pathlib import Path

import faiss
import pandas as pd
import pytest
import torch

from bench import ROOT, end_to_end, images, loss, metrics, negatives, search, startup
from bench.command import parse_options
from bench.limits import LIMITS
from bench.measure import RELEASED_WAY, Options, Row
from bench.page import PAGE, RESULTS, TABLES, read_csv, records, write_csv, write_page
from geomix.errors import InputError

FIGURE = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?"
# What is no measurement: names of things, and what a text says of them.
WORDS = (
    r"dimensions 128",
    r"float(32|64)",
    r"R@1",
    r"\d+ of the \d+ limits that were asked for",
    r"\d+ (was|were) not measured",
    r"A batch of 9 views x 100 classes holds 900 embeddings",
    r"[Aa]bove 1|below 1",
    r'"First 32" are the 32 nearest',
    r"more than 20 GB",
    r"batch of 900( with 9 views)?",
    r"256 px",
    r"float16|bfloat16",
    r"c = [\d.]+, d from [^|]*",
    *(re.escape(limit.within) for limit in LIMITS if limit.within),
)

# Rows of benchmarks that train for minutes.
IN_TRAINING = {"table": "training", "implementation": RELEASED_WAY, "baseline": "geomix"}
FED: dict[str, list[Row]] = {
    "train": [
        IN_TRAINING
        | {"case": "small ViT, glyphs, CPU", "rounds": 5, "ratio": 3.1}
        | {"seconds": 0.31, "baseline_seconds": 0.1, "baseline_network": 0.91},
        IN_TRAINING | {"case": "ViT-S/16, CUDA"},
        {"table": "phases", "case": "small ViT, glyphs, CPU", "implementation": "geomix"}
        | {"data": 0.04, "forward": 0.3, "loss": 0.03, "backward": 0.61, "update": 0.02},
    ],
    "end_to_end": [
        {"table": "flow", "case": "make repro", "implementation": end_to_end.WHOLE}
        | {"seconds": 71.5, "rounds": 1},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the commands."""
    out = tmp_path_factory.mktemp("benchmarks")
    threads, faiss_threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    with pytest.MonkeyPatch.context() as patch:
        for module in (loss, negatives, search, metrics, images, startup):
            command = ["bench", "--quick", "--out", str(out), "--threads", "1", "--budget", "0.01"]
            patch.setattr(sys, "argv", command)
            module.main()
    for name, rows in FED.items():
        write_csv(name, rows, Options(True, out, 1, 0.01))
    write_page(out)
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(faiss_threads)
    return out


def test_all_files_are_there_and_full(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        f"{PAGE}/README.md",
        f"{PAGE}/growth.png",
        *(f"{RESULTS}/{name}.csv" for name in TABLES),
    }
    for name in TABLES:
        table = pd.read_csv(folder / RESULTS / f"{name}.csv")
        timed = table[table["ratio"].notna()]
        assert (timed[["ratio", "seconds", "baseline_seconds"]] > 0).to_numpy().all()
        assert (timed["rounds"] >= 5).all()
        assert (table["threads"] == 1).all()


def test_what_should_be_equal_is(folder: Path) -> None:
    table = pd.read_csv(folder / RESULTS / "loss.csv")
    losses = table[table["ratio"].notna() & table["difference"].notna()]
    assert len(losses) == 10 + 4 + 1 + 3
    assert losses["difference"].max() < 1e-3  # the released ball adds 1e-5 in two places
    peers = losses[losses["implementation"] == "pytorch-metric-learning"]
    assert peers["difference"].max() < 1e-5
    lists = pd.read_csv(folder / RESULTS / "search.csv").query("table == 'check'")
    lists = lists[lists["implementation"] != "faiss hyperbolic"]
    assert len(lists) == 5
    assert (lists["difference"] == 0).all()
    assert pd.read_csv(folder / RESULTS / "metrics.csv")["difference"].max() < 1e-6


def test_the_page_quotes_only_numbers_of_the_csvs(folder: Path) -> None:
    paths = [folder / RESULTS / f"{name}.csv" for name in TABLES]
    tables = [pd.read_csv(path, dtype={"python": str}) for path in paths]
    bounds = [bound for limit in LIMITS for bound in (limit.at_least, limit.at_most)]
    values = [bound for bound in bounds if bound is not None]
    named: set[str] = set()
    for table in tables:
        for _, column in table.items():
            if pd.api.types.is_numeric_dtype(column):
                values += column.dropna().astype(float).tolist()
            else:
                named |= set(column.dropna())
    text = " ".join((folder / PAGE / "README.md").read_text().split())
    titles = {title for table in tables for title in table["case"]}
    # Cases first, as they hold words; then words, as a table is named batch.
    for words in (*longest_first(titles), *WORDS, *longest_first(named)):
        text = re.sub(words, "", text)
    figures = re.findall(FIGURE, text)
    assert not [figure for figure in figures if not any(quotes(figure, value) for value in values)]


def longest_first(texts: set[str]) -> list[str]:
    """Return patterns of texts, so that none is hidden by a shorter one within it."""
    return [re.escape(text) for text in sorted(texts, key=len, reverse=True)]


def quotes(figure: str, value: float) -> bool:
    """Say whether a figure is a value, rounded to the digits it has."""
    mantissa, _, exponent = figure.replace(",", "").partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(figure.replace(",", "")) - value) <= 0.5001 * unit and (
        value != 0 or float(figure) == 0
    )


@pytest.mark.parametrize(
    ("figure", "value", "answer"),
    [
        ("54.3", 54.26, True),
        ("54.3", 54.2, False),
        ("2.1e-05", 2.14e-5, True),
        ("2.1e-05", 2.2e-5, False),
        ("5,924", 5924, True),
    ],
)
def test_a_figure_quotes_what_rounds_to_it(figure: str, value: float, answer: bool) -> None:
    assert quotes(figure, value) == answer


def test_every_limit_is_of_something_in_the_committed_run() -> None:
    for limit in LIMITS:
        path = ROOT / RESULTS / f"{limit.bench}.csv"
        if not path.is_file():  # the page says that it was not measured
            continue
        rows = records(read_csv(path))
        assert [row for row in rows if limit.names(limit.bench, row)], limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick"], "found --quick without --out"),
        (["--threads", "0"], "found 0 threads"),
        (["--budget", "nan"], "a budget of nan"),
        (["--sizes"], "unrecognized arguments: --sizes"),
    ],
)
def test_bad_arguments_are_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(InputError, match=message):
        parse_options()
