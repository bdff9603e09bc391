"""Which function reads which data set."""

from collections.abc import Callable
from pathlib import Path

from geomix.datasets.cars196 import list_cars196
from geomix.datasets.cub200 import list_cub200
from geomix.datasets.folder import list_folder
from geomix.datasets.glyphs import list_glyphs
from geomix.datasets.grocerystore import list_grocerystore
from geomix.datasets.inshop import list_inshop
from geomix.datasets.listing import Listing
from geomix.datasets.omniglot import list_omniglot
from geomix.datasets.sop import list_sop

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
