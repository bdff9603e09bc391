"""Obtain the raw files of a data set: data/raw/<dataset>, which is complete or not there at all."""

from pathlib import Path

from geomix.config.stages import DownloadParams
from geomix.datasets.sources import Source, explain_relative
from geomix.errors import InputError
from geomix.files import new_folder, write_json


def obtain(dataset: str, source: Source, params: DownloadParams, out: Path) -> None:
    """Write or fetch the raw files of a data set, and write manifest.json beside them.

    Args:
        dataset: Its name.
        source: Where its files come from.
        params: The mirror folder, and where the user's own data is.
        out: The target folder.

    Raises:
        InputError: If a file cannot be had, or is not what it should be; `out` stays as it was.
    """
    with new_folder(out) as folder:
        if source.write:
            facts = source.write(folder, params)
        else:
            from geomix.download.fetch import fetch  # requests, which nothing else here needs

            mirror = Path(params.download.mirror) if params.download.mirror else None
            if mirror and not mirror.is_dir():
                expected = f"one, or null for the network alone{explain_relative(mirror)}"
                raise InputError(f"download.mirror: found no folder {mirror}, expected {expected}")
            partial = out.with_name(f".{out.name}.partial")
            facts = {"files": fetch(dataset, source, folder, partial, mirror)}
        origin = {"source": source.origin} if source.origin else {}
        manifest = {"dataset": dataset, **origin, "licence": source.licence, **facts}
        write_json(folder / "manifest.json", manifest)
