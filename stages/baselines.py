"""Embed without training: data/packed/<dataset> -> runs/<dataset>/baselines/."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.baselines"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import BaselineParams
from geomix.config.studies import expand_group
from stages import Arguments, run


def main() -> None:
    """Write raw pixels or vectors and untrained networks in the form of cells."""
    load(BaselineParams)
    arguments = Arguments()
    arguments.add_argument("--seeds", nargs="+", required=True, help="groups, such as 0-2")
    arguments.add_argument("--own", help="a data set whose settings are laid over params.yaml")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load(BaselineParams, own=given.own)
    seeds = [seed for group in given.seeds for seed in expand_group(group)]

    from geomix.data.packed import check_hashes, open_packed
    from geomix.train.device import choose_device, fix_bytes
    from geomix.train.save import save_baselines

    check_hashes(given.data)  # every byte, once for all cells
    fix_bytes(choose_device(params.device))
    save_baselines(open_packed(given.data), params, seeds, given.out)
    print("baselines: raw pixels or vectors and untrained networks")


if __name__ == "__main__":
    run(main)
