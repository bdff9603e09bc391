"""The command line of the benchmarks, and what all of them do.

They measure, write bench/results/<name>.csv, print its tables and write reports/speed/ anew.
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
    arguments = Arguments(description="Writes bench/results/<name>.csv and the page.")
    arguments.add_argument("--quick", action="store_true", help="tiny sizes, as a trial")
    arguments.add_argument("--out", type=Path, help="the target folder, not the repository")
    arguments.add_argument("--threads", type=int, default=threads)
    arguments.add_argument("--budget", type=float, default=BUDGET, help="seconds for each case")
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
    """Measure all cases, write their rows and the page.

    Args:
        bench: The module, such as loss.
        cases: What to measure.
        options: Of the command line.
        more: Returns rows that are of no case.
    """
    # Not imported in the processes whose memory is measured.
    from bench.page import TABLES, table_text, write_csv, write_page

    set_threads(options.threads)
    progress = tqdm(cases, desc=bench)
    rows = [row for case in progress for row in measure_case(bench, case, options)]
    table = write_csv(bench, rows + more(), options)
    for name in TABLES[bench]:
        print(table_text(bench, name, table), end="\n\n")
    write_page(options.out)
