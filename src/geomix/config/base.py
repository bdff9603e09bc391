"""What the types of params.yaml are made of: numbers with their ranges, the base of sections."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator


def _as_written(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Check a number but keep it as written: cells are named by it, and DVC tells 1 from 1.0."""
    check(value)
    return value


Number = Annotated[float, WrapValidator(_as_written)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Labels = Literal["given", "hidden"]
Relevance = Literal["class", "lineage"]
Task = Literal["class", "lineage", "distances"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]
Dataset = Literal[
    "glyphs",
    "accents",
    "tree_images",
    "tree",
    "grid",
    "wordnet",
    "omniglot",
    "grocerystore",
    "cub200",
    "cars196",
    "sop",
    "inshop",
    "folder",
    "embeddings",
    "features",
]
# data sets of vectors in place of images
VECTORS = ("tree", "grid", "wordnet", "embeddings", "features")
ALONE = ("tree", "wordnet")  # of which each sample is a class of its own
FOR_VECTORS = ("mlp", "linear")  # backbones that take vectors; all others take images


class Section(BaseModel):
    """A part of params.yaml: unknown keys, infinities and values of another type are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
