"""The command `geomix`: search with a trained run, index it, export its vectors."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from geomix.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from geomix.library.model import Found, Model

RUN = "the folder of a trained cell, such as runs/glyphs/compare/hyperbolic_free-0-2/0"


class Arguments(argparse.ArgumentParser):
    """Command-line arguments whose mistakes are bad input like any other: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"command line: {message} (geomix --help)")


def build_parser() -> Arguments:
    """Build the parser of the command line."""
    parser = Arguments("geomix", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="find what is nearest to pictures of your own")
    search.add_argument("run", type=Path, metavar="RUN", help=RUN)
    images = "a picture; for a run on vectors, a .npy file of vectors"
    search.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help=images)
    search.add_argument("--k", type=int, default=10, help="items for each picture (default 10)")
    search.add_argument(
        "--sheet", type=Path, default=Path("search.png"), help="PNG of what was found"
    )
    search.add_argument(
        "--data", type=Path, help="data/packed/<dataset>, for pictures of the sheet"
    )
    features = (
        "for a run on features: the folder that stage features wrote, which names the frozen "
        "backbone (default: data/raw/features beside runs/)"
    )
    search.add_argument("--features", type=Path, metavar="FOLDER", help=features)
    index = commands.add_parser("index", help="write a faiss index of a run in one space")
    index.add_argument("run", type=Path, metavar="RUN", help=RUN)
    index.add_argument("--out", type=Path, required=True, metavar="FILE", help="and FILE.parquet")
    export = commands.add_parser("export", help="write all vectors of a run with their ids")
    export.add_argument("run", type=Path, metavar="RUN", help=RUN)
    export.add_argument("--out", type=Path, default=Path("vectors"), metavar="FOLDER")
    for one in (search, index, export):
        one.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    return parser


def search_run(model: "Model", given: argparse.Namespace) -> None:
    """Print what is nearest to each picture, and draw it."""
    import numpy as np

    from geomix.files import replace_file
    from geomix.library.exports import draw_sheet, find_packed, refuse_folder

    refuse_folder(given.sheet)
    arrays = takes_arrays(model, given.images)
    if arrays:
        blocks = [np.atleast_2d(read_array(path)) for path in given.images]
        names = [
            f"{path} [{row}]"
            for path, block in zip(given.images, blocks, strict=True)
            for row in range(len(block))
        ]
        queries = np.concatenate([model.embed(block) for block in blocks])
    else:
        names, queries = [str(path) for path in given.images], model.embed(given.images)
    found = model.search(queries, k=given.k)
    print_found(model, names, found)
    if arrays:
        print("no sheet was drawn: the queries are vectors")
        return
    try:
        packed = find_packed(model, given.data)
    except InputError as error:
        if given.data:
            raise
        print(f"no sheet was drawn: {error}")
        return
    replace_file(given.sheet, draw_sheet(model, given.images, found, packed))
    print(f"{given.sheet}: queries and what was found")


def takes_arrays(model: "Model", paths: Sequence[Path]) -> bool:
    """Say whether queries are .npy files of vectors: always, of a run on vectors of the user's.

    A run on features takes pictures too.
    """
    on_features = model.frozen or model.refusal
    named = all(path.suffix == ".npy" for path in paths)
    return model.form.form == "vectors" and (named or not on_features)


def read_array(path: Path) -> "np.ndarray":
    """Read vectors from a .npy file.

    Raises:
        InputError: If it is none.
    """
    import numpy as np

    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        expected = "a .npy of vectors, as this run was trained on vectors"
        raise InputError(f"{path}: found no array ({reason}), expected {expected}") from None
    return array


def print_found(model: "Model", names: Sequence[str], found: "Found") -> None:
    """Print a table for each query: rank, distance, label, split, id."""
    for name, rows, distances in zip(names, *found, strict=True):
        print(name)
        samples = model.samples.iloc[rows]
        columns = samples["label"], samples["split"], samples["id"], distances
        for rank, (label, split, sample, distance) in enumerate(zip(*columns, strict=True), 1):
            print(f"{rank:4}  {distance:10.4g}  {label}  {split}  {sample}")


def index_run(model: "Model", given: argparse.Namespace) -> None:
    """Write an index."""
    from geomix.library.exports import write_index

    count, dimensions = write_index(model, given.out)
    rows = f"{given.out}.parquet has the id of each row"
    print(f"{given.out}: {count:,} vectors of {dimensions} numbers, inner product; {rows}")


def export_run(model: "Model", given: argparse.Namespace) -> None:
    """Write vectors, and say what orders them."""
    from geomix.library.exports import write_export

    exported = write_export(model, given.out)
    print(f"{given.out}: {exported.count:,} embeddings of {exported.dimensions} numbers")
    print(exported.describe())


COMMANDS = {"search": search_run, "index": index_run, "export": export_run}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Bad input, files that cannot be used and a full GPU end it in one line, with code 1; a reader of
    its output that has read enough, as `head` does, ends it without a word.
    """
    try:
        given = build_parser().parse_args(arguments)
        from geomix.library.model import load_run

        features = getattr(given, "features", None)
        COMMANDS[given.command](load_run(given.run, given.device, features), given)
        sys.stdout.flush()  # a closed pipe is noticed here, and not at exit
    except InputError as error:
        sys.exit(f"error: {error}".replace("\n", "; "))
    except BrokenPipeError:
        # what is left in the buffer goes nowhere at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        expected = "enough: use --device cpu, or fewer pictures at a time"
        sys.exit(f"error: --device: found too little memory on the GPU, expected {expected}")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        sys.exit(f"error: {error.filename or 'disk'}: found that it cannot be used ({reason})")


if __name__ == "__main__":
    main()
