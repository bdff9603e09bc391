"""Check params.yaml as a whole, and note what is behind its paths: the root of the pipeline.

Nothing -> data/content (checkpoints.json, folder.json, embeddings.json). It runs each time, because
DVC does not see what is behind a path.
"""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.check"
    )

from pathlib import Path

from geomix.config.base import FOR_VECTORS
from geomix.config.checks import list_backbones
from geomix.config.content import write_content
from geomix.config.params import Params
from geomix.config.read import PARAMS, load, read_yaml
from geomix.config.stages import DownloadParams
from geomix.errors import InputError
from stages import Arguments, run

# Backbones that need no look into timm, which takes seconds to import; suggested for others.
COMMON = (
    "vit_tiny_patch16_224",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "deit_small_patch16_224",
)


def refuse_backbone(key: str, name: str) -> None:
    """Refuse a backbone that timm does not have, or that is no Vision Transformer.

    Raises:
        InputError: With names that are like it and can be built here.
    """
    import difflib

    import timm

    from geomix.network.encoder import FAMILIES, find_model

    try:
        find_model(name)
    except InputError:
        architecture = name.partition(".")[0]
        known = [one for one in timm.list_models(module=FAMILIES) if not one.startswith("test_")]
        other = architecture not in known and timm.is_model(architecture)
        if architecture in known:
            known = timm.list_models(architecture, include_tags=True)
        near = difflib.get_close_matches(name, known, 3) or COMMON[:3]
        found = f"{name}{', which is no Vision Transformer' if other else ''}"
        expected = f"the name of a Vision Transformer of timm, such as {', '.join(near)}"
        raise InputError(f"params.yaml: {key}: found {found}, expected {expected}") from None


def refuse_without_block(params: Params) -> None:
    """Refuse a study that no block of its flow runs: its page would look for cells in vain.

    Raises:
        InputError: With the key of the study, and the file.
    """
    flows = {"study": Path("dvc.yaml"), "further": Path("flows/further/dvc.yaml")}
    for section, path in flows.items():
        if not path.is_file():
            continue  # a params.yaml without flows
        blocks = read_yaml(path)["stages"]
        for name in getattr(params, section):
            if name not in blocks:
                where = f"params.yaml: {section}.{name}"
                expected = f"one of this name under stages in {path} (docs/studies.md)"
                raise InputError(f"{where}: found no block, expected {expected}")


def main() -> None:
    """Validate the file, backbones and blocks that it names, and note what is behind its paths."""
    params = load(Params)
    arguments = Arguments()
    arguments.add_argument("--out", type=Path, help="what cells depend on in place of their paths")
    given = arguments.parse_args()
    for key, name in list_backbones(params):
        if name not in (*COMMON, *FOR_VECTORS):
            refuse_backbone(key, name)
    refuse_without_block(params)
    if given.out:
        from geomix.files import new_folder

        with new_folder(given.out) as folder:
            write_content(folder, read_yaml(PARAMS), load(DownloadParams), given.out)


if __name__ == "__main__":
    run(main)
