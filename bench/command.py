"""The command line of the benchmarks, and what all of them do.

They measure, write bench/results/<table>.csv, print the tables and write reports/speed/ anew.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from bench import ROOT
from bench.measure import Case, Options, Row, measure_case, set_threads
from geomix.errors import InputError
from stages import Arguments

BUDGET = 10.0


def parse_options(threads: int = 2) -> Options:
    """Read the command line.

    Args:
        threads: What torch and faiss use unless the command line says otherwise.

    Raises:
        InputError: On a mistake in it.
    """
    arguments = Arguments(
        description="Writes bench/results/<table>.csv and the page, reports/speed/."
    )
    arguments.add_argument(
        "--quick", action="store_true", help="tiny sizes, to try the program; needs --out"
    )
    arguments.add_argument(
        "--out", type=Path, help="folder that gets both, the repository by default"
    )
    arguments.add_argument("--threads", type=int, default=threads)
    arguments.add_argument(
        "--budget", type=float, default=BUDGET, help="seconds of timing for each case, about"
    )
    given = arguments.parse_args()
    if given.quick and given.out is None:
        raise InputError(
            "command line: found --quick without --out, expected a folder without real results"
        )
    if given.threads < 1 or not given.budget > 0:
        raise InputError(
            f"command line: found {given.threads} threads and a budget of {given.budget}, "
            "expected 1 or more, above 0"
        )
    return Options(given.quick, given.out or ROOT, given.threads, given.budget)


def run_benchmark(
    bench: str, cases: Sequence[Case], options: Options, more: Callable[[], list[Row]] = list
) -> None:
    """Measure all cases and write what came out.

    Args:
        bench: loss, search or metrics.
        cases: What to measure.
        options: Of the command line.
        more: Gives rows that are no cases.
    """
    from bench.page import (
        TABLES,
        table_text,
        write_csv,
        write_page,
    )  # not in the processes whose memory is measured

    set_threads(options.threads)
    rows = [
        row for case in tqdm(cases, desc=bench) for row in measure_case(bench, case, options)
    ] + more()
    table = write_csv(bench, rows, options)
    for name in TABLES[bench]:
        print(table_text(bench, name, table), end="\n\n")
    write_page(options.out)
