"""Which function reads which data set."""

from collections.abc import Callable
from pathlib import Path

from geomix.preprocess.cars196 import list_cars196
from geomix.preprocess.cub200 import list_cub200
from geomix.preprocess.folder import list_folder
from geomix.preprocess.glyphs import list_glyphs
from geomix.preprocess.grocerystore import list_grocerystore
from geomix.preprocess.inshop import list_inshop
from geomix.preprocess.listing import Listing
from geomix.preprocess.omniglot import list_omniglot
from geomix.preprocess.sop import list_sop

READERS: dict[str, Callable[[Path], Listing]] = {
    "glyphs": list_glyphs,
    "omniglot": list_omniglot,
    "grocerystore": list_grocerystore,
    "cub200": list_cub200,
    "cars196": list_cars196,
    "sop": list_sop,
    "inshop": list_inshop,
    "folder": list_folder,
}
