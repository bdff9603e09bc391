"""Embed a data set by a frozen backbone, once: data/packed/<dataset> -> data/raw/features/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.features"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import FeaturesParams
from geomix.errors import InputError
from stages import Arguments, run


def main() -> None:
    """Write features in the form of a raw data set; go on where an earlier run was stopped."""
    features = load(FeaturesParams).features
    arguments = Arguments()
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--parts", type=Path, required=True, help="what outlives a kill")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()

    import torch

    from geomix.data.packed import check_hashes, open_packed
    from geomix.features.extract import Machine, write_features
    from geomix.files import new_folder, write_json
    from geomix.train.device import choose_device, fix_bytes

    check_hashes(given.data)
    try:
        device = choose_device(features.device)
    except InputError as error:
        raise InputError(f"features.{error}") from None
    machine = Machine(device, torch.get_num_threads())
    fix_bytes(device)
    with new_folder(given.out) as folder:
        facts = write_features(folder, open_packed(given.data), features, given.parts, machine)
        write_json(folder / "manifest.json", {"dataset": "features", **facts})
    print(f"features: {facts['vectors']:,} vectors of {facts['dimensions']} numbers")


if __name__ == "__main__":
    run(main)
