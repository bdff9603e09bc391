"""Download one data set: nothing -> data/raw/<dataset> (raw files as they come, manifest.json)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.download"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import DownloadParams
from stages import Arguments, run


def main() -> None:
    """Obtain the raw files from where the data set says."""
    params = load(DownloadParams)
    arguments = Arguments()
    arguments.add_argument("--dataset", required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    from geomix.datasets import load_dataset
    from geomix.download.obtain import obtain

    obtain(given.dataset, load_dataset(given.dataset).SOURCE, params, given.out)


if __name__ == "__main__":
    run(main)
