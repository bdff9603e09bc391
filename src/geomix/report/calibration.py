"""What a page says first where the calibration did not come out."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

WARNING = """
**Not calibrated: the [calibration]({link}) did not come out, so nothing here is a verdict on
curvature.**
"""


def calibrated(table: Path) -> bool:
    """Say whether all checks of the calibration came out; without their table they did not.

    Args:
        table: control.csv, written beside its page.
    """
    return table.is_file() and bool((pd.read_csv(table)["outcome"] == "yes").all())


def open_uncalibrated(files: Mapping[str, bytes], table: Path, out: Path) -> dict[str, bytes]:
    """Open a page with a warning, unless the calibration came out.

    Args:
        files: Content by file name; README.md begins with its title.
        table: control.csv.
        out: The folder of the page, which the link starts from.
    """
    if calibrated(table):
        return dict(files)
    link = Path(os.path.relpath(table.with_suffix(".md"), out)).as_posix()
    title, _, text = files["README.md"].decode().partition("\n")
    page = f"{title}\n{WARNING.format(link=link)}{text}"
    return {**files, "README.md": page.encode()}
