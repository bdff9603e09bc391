"""WordNet's mammals: 1,164 meanings of words with glosses, in a hierarchy of up to ten levels.

The table ships with the package. It has, for each meaning under "mammal", its path by first
hypernyms, its words, and its gloss. Vectors are made of the text: TF-IDF of words and gloss, beside
TF-IDF of the words' parts of 3 to 5 characters, in the 128 directions in which they vary most.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.stages import DownloadParams
from geomix.datasets.listing import Listing, raw_file, require_columns
from geomix.datasets.sources import Source, describe_files
from geomix.errors import InputError
from geomix.files import hash_file

TABLES = Path(__file__).parent / "tables"
TABLE, LICENCE = "mammals.csv", "mammals-LICENSE"
SHA256 = "2b763a85504a1329862932dfd2c06c301c55573585115af5b1e852a24fd8809f"  # of the table
COLUMNS = ("lineage", "words", "gloss")
DIMENSIONS = 128
PARTS = (3, 5)  # characters of a word's parts, from and to
SEED = 0  # of the randomised SVD


def write_wordnet(folder: Path, params: DownloadParams) -> dict[str, Any]:
    """Copy the table and its licence.

    Raises:
        InputError: If the table is missing or has other bytes.
    """
    table = TABLES / TABLE
    found = hash_file(table) if table.is_file() else "nothing"
    if found != SHA256:
        raise InputError(f"{table}: found {found[:16]}, expected sha256 {SHA256[:16]}...")
    for name in (TABLE, LICENCE):
        shutil.copyfile(TABLES / name, folder / name)
    return {"files": describe_files(folder / TABLE, folder / LICENCE)}


SOURCE = Source(
    licence="WordNet 3.0 licence (free use and redistribution with its notice, mammals-LICENSE)",
    write=write_wordnet,
    origin="WordNet 3.0, mammals with their first hypernyms",
)


def embed_texts(words: list[str], glosses: list[str]) -> np.ndarray:
    """Turn words with their glosses into vectors.

    Args:
        words: Of N meanings, the synonyms of each in one text.
        glosses: Their descriptions.

    Returns:
        float32, shape (N, 128).
    """
    # scikit-learn takes a second to import, and only this needs it
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    texts = [f"{word} {gloss}" for word, gloss in zip(words, glosses, strict=True)]
    whole = TfidfVectorizer().fit_transform(texts)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=PARTS).fit_transform(words)
    svd = TruncatedSVD(DIMENSIONS, random_state=SEED)
    with threadpool_limits(1):  # the last bits depend on the number of threads
        vectors: np.ndarray = svd.fit_transform(hstack([whole, parts]).tocsr())
    return vectors.astype(np.float32)


def read(raw: Path) -> Listing:
    """List the meanings, inner ones and leaves: each is a sample and a class of its own.

    Args:
        raw: The folder of mammals.csv.

    Returns:
        Vectors, made when they are needed. An id is the last name of a path; no name comes twice.
        Leaves are held out.

    Raises:
        InputError: If the table or one of its columns is missing.
    """
    path = raw_file(raw, TABLE)
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    require_columns(path, table, COLUMNS)
    names = [lineage.rpartition("/")[2] for lineage in table["lineage"]]
    samples = pd.DataFrame({"id": names, "label": names, "lineage": table["lineage"]})

    def vectors() -> Iterator[tuple[int, np.ndarray]]:
        """Make the vectors of all texts."""
        yield from enumerate(embed_texts(table["words"].tolist(), table["gloss"].tolist()))

    return Listing(samples, (), vectors, DIMENSIONS, form="vectors", unit="leaf")
