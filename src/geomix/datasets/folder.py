"""Read the user's own images: images.zip and table.csv, as download stored them."""

from pathlib import Path

import pandas as pd

from geomix.data.archives import open_archive
from geomix.datasets.listing import Listing, images_in, raw_file
from geomix.errors import InputError

COLUMNS = ("path", "label")
OFFICIAL = ("split", "role")


def list_folder(raw: Path) -> Listing:
    """List the user's own images; every column of the table but path, label, split and role is a
    level, coarse to fine.

    Args:
        raw: The folder of images.zip and table.csv.

    Returns:
        Images; encoded by default. An id is the path in the user's folder.

    Raises:
        InputError: If a file or a column is missing, or the archive lacks an image of the table.
    """
    path, table = raw_file(raw, "images.zip"), raw_file(raw, "table.csv")
    samples = pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8")
    missing = [column for column in COLUMNS if column not in samples.columns]
    if missing:
        raise InputError(
            f"{table}: found columns {', '.join(samples.columns)}; expected {', '.join(missing)} too"
        )
    with open_archive(path) as archive:
        images = images_in(path, archive.names(), samples["path"].tolist())
    levels = tuple(column for column in samples.columns if column not in (*COLUMNS, *OFFICIAL))
    return Listing(samples.rename(columns={"path": "id"}), levels, images, form="encoded")
