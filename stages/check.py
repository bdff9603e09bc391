"""Check params.yaml as a whole: the root of the pipeline, which runs whenever the file changes."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.check"
    )

from geomix.config.read import load
from geomix.config.stages import TrainParams
from stages import run


def main() -> None:
    """Validate the file."""
    load(TrainParams)


if __name__ == "__main__":
    run(main)
