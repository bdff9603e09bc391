"""Where each data set comes from, and how to know that it came whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RESEARCH = "non-commercial research only, not to be redistributed"


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        name: Of the file in data/raw/<dataset>.
        urls: Where to download it, in order of preference; none if only people may.
        other_names: Under which a mirror folder may hold it instead.
        sha256: Published for the original file; likewise md5.
        counts: How many members match a pattern (* matches slashes too), for copies without a
            published checksum.
        more: Whether more members than that may match.
        content: A folder inside and the digest of the PNG files in it (`fetch.digest_content`).
        member_md5: By pattern, the checksum of one member.
        rows: If not 0, the file is no archive but a table: a line with this number, a header, and
            as many rows.
    """

    name: str
    urls: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    more: bool = False
    content: tuple[str, str] | None = None
    member_md5: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class Source:
    """The files of a data set, its licence, and where a person gets the files by hand."""

    files: tuple[File, ...]
    licence: str
    by_hand: str


OMNIGLOT = (
    "https://github.com/brendenlake/omniglot/raw/master/python",
    "https://raw.githubusercontent.com/brendenlake/omniglot/master/python",
)

SOURCES: dict[str, Source] = {
    "omniglot": Source(
        files=(
            File(
                "images_background.zip",
                urls=tuple(f"{base}/images_background.zip" for base in OMNIGLOT),
                md5="68d2efa1b9178cc56df9314c21c6e718",
                counts={"*images_background/*/*/*.png": 964 * 20},
                content=(
                    "images_background/",
                    "a0010054f796a6ce4a3177f43a0de49c9a47abe6bc7643630a3660cdf8cb513c",
                ),
            ),
            File(
                "images_evaluation.zip",
                urls=tuple(f"{base}/images_evaluation.zip" for base in OMNIGLOT),
                md5="6b91aef0f799c5bb55b94e3f2daec811",
                counts={"*images_evaluation/*/*/*.png": 659 * 20},
                content=(
                    "images_evaluation/",
                    "7e5a92e93f2b659d954a8ae86386252b0e20faaf14d5d959db6f60c82dd2b901",
                ),
            ),
        ),
        licence="MIT",
        by_hand="https://github.com/brendenlake/omniglot, folder python",
    ),
    "grocerystore": Source(
        files=(
            File(
                "GroceryStoreDataset-master.zip",
                urls=(
                    "https://github.com/marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip",
                ),
                other_names=("GroceryStoreDataset-128px.zip", "GroceryStoreDataset.zip"),
                # GitHub packs a branch anew now and then, so no checksum of the archive lasts.
                counts={
                    "*dataset/train/*.jpg": 2640,
                    "*dataset/val/*.jpg": 296,
                    "*dataset/test/*.jpg": 2485,
                    "*dataset/train.txt": 1,
                    "*dataset/val.txt": 1,
                    "*dataset/test.txt": 1,
                    "*dataset/classes.csv": 1,
                },
            ),
        ),
        licence="MIT",
        by_hand="https://github.com/marcusklasson/GroceryStoreDataset, Code, Download ZIP",
    ),
    "cub200": Source(
        files=(
            File(
                "CUB_200_2011.tgz",
                urls=("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
                sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
                counts={
                    "*CUB_200_2011/images/*/*.jpg": 11788,
                    "*CUB_200_2011/images.txt": 1,
                    "*CUB_200_2011/classes.txt": 1,
                    "*CUB_200_2011/image_class_labels.txt": 1,
                },
            ),
        ),
        licence=RESEARCH,
        by_hand="https://data.caltech.edu/records/65de6-vp158",
    ),
    "cars196": Source(
        files=(
            File(
                "CARS196.zip",
                urls=("http://ftp.cs.stanford.edu/cs/cvgl/CARS196.zip",),
                counts={"*car_ims/*.jpg": 16185, "*cars_annos.mat": 1},
                member_md5={"*cars_annos.mat": "b407c6086d669747186bd1d764ff9dbc"},
            ),
        ),
        licence=RESEARCH,
        by_hand="a zip of the original car_ims/000001.jpg ... 016185.jpg and cars_annos.mat",
    ),
    "sop": Source(
        files=(
            File(
                "Stanford_Online_Products.zip",
                urls=("http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",),
                sha256="b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48",
                counts={"*_final/*.JPG": 59551 + 60502, "*Ebay_train.txt": 1, "*Ebay_test.txt": 1},
            ),
        ),
        licence=RESEARCH,
        by_hand="http://ftp.cs.stanford.edu/cs/cvgl (not a copy resized to 224 px)",
    ),
    "inshop": Source(
        files=(
            File(
                "list_eval_partition.txt",
                other_names=("Eval/list_eval_partition.txt",),
                rows=25882 + 14218 + 12612,
            ),
            File(
                "img.zip",
                other_names=("Img/img.zip",),
                counts={"*img/*.jpg": 25882 + 14218 + 12612},
                more=True,  # the table says which count
            ),
        ),
        licence=RESEARCH,
        by_hand=(
            "the authors' Drive folder, by way of mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html: "
            "Img/img.zip and Eval/list_eval_partition.txt, not the password-protected img_highres.zip"
        ),
    ),
}
