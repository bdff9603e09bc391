"""The command `geomix`: search with a trained run, index it, export its vectors."""

import argparse
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
    search.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="of a run on vectors: .npy files"
    )
    search.add_argument("--k", type=int, default=10, help="items for each picture (default 10)")
    search.add_argument(
        "--sheet", type=Path, default=Path("search.png"), help="PNG of what was found"
    )
    search.add_argument(
        "--data", type=Path, help="data/packed/<dataset>, for pictures of the sheet"
    )
    search.add_argument(
        "--features", type=Path, help="of a run on features: data/raw/features, with its backbone"
    )
    index = commands.add_parser("index", help="write a faiss index of a run, for any geometry")
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
    from geomix.library.exports import draw_sheet, find_packed

    if model.form.form == "vectors" and not model.frozen:
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
    try:
        packed = find_packed(model, given.data)
    except InputError as error:
        if given.data:
            raise
        print(f"no sheet was drawn: {error}")
        return
    replace_file(given.sheet, draw_sheet(model, given.images, found, packed))
    print(f"{given.sheet}: queries and what was found")


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
    """Run the command; bad input and files that cannot be used end it in one line, with code 1."""
    try:
        given = build_parser().parse_args(arguments)
        from geomix.library.model import load_run

        features = getattr(given, "features", None)
        COMMANDS[given.command](load_run(given.run, given.device, features), given)
    except InputError as error:
        sys.exit(f"error: {error}".replace("\n", "; "))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        sys.exit(f"error: {error.filename or 'disk'}: found that it cannot be used ({reason})")


if __name__ == "__main__":
    main()
