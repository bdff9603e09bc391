"""The user's own images: class folders or a table become one zip with one table, read as listed."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets import folder as module
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import hash_file, read_json, write_json

PARAMS = DownloadParams(
    download=Download(mirror=None),
    folder=Folder(path=None, table=None),
    embeddings=Embeddings(path=None, table=None),
)


def save_folder(path: Path, table: str | None, out: Path) -> None:
    params = PARAMS.model_copy(update={"folder": Folder(path=str(path), table=table)})
    obtain("folder", module.SOURCE, params, out)


def write(folder: Path, names: list[str]) -> Path:
    """Write files whose content is their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def stored(out: Path) -> dict[str, str]:
    """Return for each stored image its label, once its content is what was there."""
    table = pd.read_csv(out / "table.csv", dtype=str, keep_default_na=False)
    with zipfile.ZipFile(out / "images.zip") as archive:
        assert archive.namelist() == table["path"].tolist()
        assert all(archive.read(name) == name.encode() for name in archive.namelist())
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    return dict(zip(table["path"], table["label"], strict=True))


@pytest.mark.parametrize(
    "images",
    [
        {"cat/1.jpg": "cat", "cat/2.PNG": "cat", "dog/1.jpg": "dog", "owl/1.webp": "owl"},
        {"猫/喵.jpg": "猫", "Löwe/é è.jpg": "Löwe", "a, 'b'/\"c\".jpg": "a, 'b'"},
        {
            "cat/indoors/1.jpg": "cat",
            "cat/outdoors/1.jpg": "cat",
            "NA/1.jpg": "NA",
            "01/1.jpg": "01",
        },
    ],
)
def test_a_class_is_a_folder(tmp_path: Path, images: dict[str, str]) -> None:
    save_folder(write(tmp_path / "own", list(images)), None, tmp_path / "raw")
    assert stored(tmp_path / "raw") == images
    manifest = read_json(tmp_path / "raw" / "manifest.json")
    counted = manifest["images"], manifest["classes"], manifest["ignored"]
    assert counted == (len(images), len(set(images.values())), {})
    assert manifest["files"]["images.zip"]["sha256"] == hash_file(tmp_path / "raw" / "images.zip")
    assert str(tmp_path) not in (tmp_path / "raw" / "manifest.json").read_text()


def test_ten_thousand_classes(tmp_path: Path) -> None:
    save_folder(
        write(tmp_path / "own", [f"{label:05}/a.jpg" for label in range(10_000)]),
        None,
        tmp_path / "raw",
    )
    table = pd.read_csv(tmp_path / "raw" / "table.csv", dtype=str)
    assert table["label"].tolist() == [f"{label:05}" for label in range(10_000)]


def test_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    others = [
        "README.md",
        "cat/notes.txt",
        "cat/._1.jpg",
        "cat/.thumbnails/1.jpg",
        "cat/1.heic",
        ".git/1.jpg",
    ]
    folder = write(tmp_path / "own", ["cat/1.jpg", "dog/1.jpg", *others])
    save_folder(folder, None, tmp_path / "raw")
    assert stored(tmp_path / "raw") == {"cat/1.jpg": "cat", "dog/1.jpg": "dog"}
    ignored = read_json(tmp_path / "raw" / "manifest.json")["ignored"]
    assert ignored == {".heic": 1, ".md": 1, ".txt": 1, "hidden": 3}  # folders count as one


def test_the_same_files_give_the_same_bytes_whatever_their_times_and_order(tmp_path: Path) -> None:
    names = [f"{label}/{index}.jpg" for label in "abcde" for index in range(10, 30)]
    for place, order in (("one", names), ("two", names[::-1])):
        folder = write(tmp_path / place, order)
        os.utime(
            folder / "a" / "10.jpg",
            (1_000_000_000, 1_000_000_000 if place == "one" else 1_500_000_000),
        )
        (folder / "a" / "11.jpg").chmod(0o600 if place == "one" else 0o644)
        save_folder(folder, None, tmp_path / f"raw {place}")
    assert list(stored(tmp_path / "raw one")) == names
    for name in ("images.zip", "table.csv", "manifest.json"):
        assert hash_file(tmp_path / "raw one" / name) == hash_file(tmp_path / "raw two" / name)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.jpg", "2.jpg", "cat/1.jpg"], "own: found 1.jpg, 2.jpg outside class folders"),
        (
            ["train/cat/1.jpg", "Test/cat/1.jpg"],
            "own: found folders Test, train, expected class folders",
        ),
        (["cat/1.txt"], r"own: found no images \(1 .txt\), expected class folders of .bmp"),
    ],
)
def test_a_folder_of_another_form_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    try:
        write(tmp_path / "own" / "cat", ["1.jpg"]).joinpath("1.jpg").rename(
            tmp_path / "own" / "cat" / "\udcff.jpg"
        )
    except OSError:
        pytest.skip("the file system refuses such names")
    with pytest.raises(
        InputError, match=r"own: found name 'cat/\\udcff.jpg', expected names in UTF-8"
    ):
        save_folder(tmp_path / "own", None, tmp_path / "raw")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="folder.path: found no folder .*own, expected the folder of your images"
    ):
        save_folder(tmp_path / "own", None, tmp_path / "raw")


NAMES = [f"{index}.jpg" for index in range(1, 9)]


def save_table(tmp_path: Path, text: str) -> pd.DataFrame:
    """Save eight images with a table and give the table that was stored."""
    (write(tmp_path / "own", NAMES) / "my.csv").write_text(text, encoding="utf-8")
    save_folder(tmp_path / "own", "my.csv", tmp_path / "raw")
    return pd.read_csv(tmp_path / "raw" / "table.csv", dtype=str, keep_default_na=False)


def test_a_table_says_which_images_there_are(tmp_path: Path) -> None:
    table = save_table(
        tmp_path, "\ufeffgenus,path,label\nPanthera,./2.jpg,Löwe\nFelis, 1.jpg, NA\n"
    )
    assert table.to_dict("list") == {
        "genus": ["Panthera", "Felis"],
        "path": ["2.jpg", "1.jpg"],
        "label": ["Löwe", "NA"],
    }
    assert stored(tmp_path / "raw") == {"2.jpg": "Löwe", "1.jpg": "NA"}


@pytest.mark.parametrize(
    "text",
    [
        "path,label,split\n1.jpg,a,train\n2.jpg,b,query\n3.jpg,b,gallery\n4.jpg,c,\n",
        "path,label,split,role\n1.jpg,a,train,\n2.jpg,b,test,query\n3.jpg,b,test,gallery\n4.jpg,c,,\n",
    ],
)
def test_query_and_gallery_are_splits_or_roles(tmp_path: Path, text: str) -> None:
    table = save_table(tmp_path, text)
    assert table["split"].tolist() == ["train", "test", "test", ""]
    assert table["role"].tolist() == ["", "query", "gallery", ""]


def test_columns_without_a_value_are_as_good_as_none(tmp_path: Path) -> None:
    assert list(save_table(tmp_path, "path,label,split,role\n1.jpg,a,,\n")) == ["path", "label"]
    assert list(save_table(tmp_path, "path,label,split\n1.jpg,a,train\n")) == [
        "path",
        "label",
        "split",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\n1.jpg,a\n", "found columns path, class; expected label too"),
        ("path,label,id\n1.jpg,a,7\n", "found column id, expected another name for a level"),
        ("path,label\n", "found no rows, expected one below the header for each sample"),
        ("", "found no table"),
        (
            "path,label\n1.jpg,a\n2.jpg,a,b,c,d\n",
            "found 'b' in line 3, column 3, expected 2 fields as in the header",
        ),
        (
            "path,label\n1.jpg,\n,b\n",
            "found '' in line 3, column path, expected the path of a sample",
        ),
        ("path,label\n1.jpg,\n2.jpg,a\n", "found '' in line 2, column label, expected a class"),
        (
            "path,label\n../1.jpg,a\n/etc/hosts,b\n",
            r"found '\.\./1\.jpg' in line 2, column path, expected a path inside",
        ),
        (
            "path,label\n1.jpg,a\n./1.jpg,b\n",
            r"found '1\.jpg' in line 3, column path, expected it once, as it is in line 2",
        ),
        (
            "path,label\n1.jpg,a\nx.jpg,a\n",
            r"found 'x\.jpg' in line 3, column path, expected a file in",
        ),
        (
            "path,label\n1.JPG,a\n",
            r"found '1\.JPG' in line 2, .* a file in .*own \(is it '1\.jpg'\?\)",
        ),
        (
            "path,label\n" + "".join(f"{n}.png,a\n" for n in range(9)),
            "found '0.png' in line 2, .* expected a file in .*own, as for 8 more of its paths",
        ),
        (
            "path,label,split\n1.jpg,a,Train\n2.jpg,a,valid\n",
            "found 'Train' in line 2, column split, expected train, val, test, query",
        ),
        (
            "path,label,split,role\n1.jpg,a,query,query\n",
            "found 'query' in line 2, column split, expected train, val, test or nothing",
        ),
        (
            "path,label,role\n1.jpg,a,probe\n",
            "found 'probe' in line 2, column role, expected query, gallery or nothing",
        ),
        (
            "path,label,kind\n1.jpg,a,x\n2.jpg,a,y\n",
            "found 'y' in line 3, column kind, expected 'x' of class 'a' as in line 2, column "
            "kind: "
            "every other column is a level of the hierarchy, and a name with _ before it is none",
        ),
    ],
)
def test_a_table_that_is_no_good_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        save_table(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/own/my.csv: ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "raw").exists()


def test_a_table_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"folder\.table: found no file .*other\.csv, expected a CSV or \.parquet"
    ):
        save_folder(write(tmp_path / "own", NAMES), "other.csv", tmp_path / "raw")
    (tmp_path / "own" / "my.csv").write_bytes("path,label\n1.jpg,Löwe\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"my\.csv: found no table .*, expected CSV in UTF-8"):
        save_folder(tmp_path / "own", "my.csv", tmp_path / "raw")


TABLE = """\
path,label,kind,family,split,role
a/1.jpg,Müller,NA,x,test,query
"b, c/2.jpg",001,bird,y,,
"""
IMAGES = {"b, c/2.jpg": b"second", "a/1.jpg": b"first"}


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    write_zip(tmp_path / "images.zip", IMAGES)
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    write_json(tmp_path / "manifest.json", {"ignored": {".txt": 2}})
    return tmp_path


def test_every_column_stays_text_and_every_other_column_is_a_level(raw: Path) -> None:
    listing = module.read(raw)
    assert listing.levels == ("kind", "family")
    assert listing.samples.to_dict("records") == [
        {
            "id": "a/1.jpg",
            "label": "Müller",
            "kind": "NA",
            "family": "x",
            "split": "test",
            "role": "query",
        },
        {
            "id": "b, c/2.jpg",
            "label": "001",
            "kind": "bird",
            "family": "y",
            "split": "",
            "role": "",
        },
    ]
    assert dict(listing.images()) == {0: b"first", 1: b"second"}
    assert (listing.form, listing.channels) == ("encoded", 3)
    assert listing.ignored == {".txt": 2}


def test_path_and_label_are_enough(raw: Path) -> None:
    (raw / "table.csv").write_text("path,label\na/1.jpg,a\n")
    listing = module.read(raw)
    assert (listing.levels, list(listing.samples)) == ((), ["id", "label"])


def test_a_table_that_does_not_fit_is_refused(raw: Path) -> None:
    (raw / "table.csv").write_text("path,class\na/1.jpg,a\n")
    with pytest.raises(
        InputError, match=r"table\.csv: found columns path, class; expected label too"
    ):
        module.read(raw)
    (raw / "table.csv").write_text("path,label\na/1.jpg,a\na/2.jpg,a\n")
    with pytest.raises(InputError, match=r"images\.zip: found no a/2\.jpg; expected the 2 files"):
        module.read(raw)
    (raw / "table.csv").unlink()
    with pytest.raises(InputError, match=r"table\.csv: not found"):
        module.read(raw)


def test_folders_at_different_depths_are_lineages(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "cat/lion/1.jpg", "cat/lion/cub/1.jpg", "dog/1.jpg"]
    save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")
    table = pd.read_csv(tmp_path / "raw" / "table.csv", dtype=str)
    assert dict(zip(table["path"], table["lineage"], strict=True)) == {
        "cat/1.jpg": "cat",
        "cat/lion/1.jpg": "cat/lion",
        "cat/lion/cub/1.jpg": "cat/lion/cub",
        "dog/1.jpg": "dog",
    }
    assert table["label"].tolist() == ["cat", "cat", "cat", "dog"]
    listing = module.read(tmp_path / "raw")
    assert (listing.levels, list(listing.samples)) == ((), ["id", "label", "lineage"])


def test_one_deeper_image_is_told_as_it_makes_lineages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("a/1.png", "a/x/2.png", "b/3.png", "b/4.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert "lineage" in module.list_classes(tmp_path)[0]
    line = "folder: 1 image at another depth, so folders became lineages\n"
    assert capsys.readouterr().err == line
    (tmp_path / "a/x/2.png").unlink()
    assert "lineage" not in module.list_classes(tmp_path)[0]
    assert capsys.readouterr().err == ""


def test_folders_of_one_depth_are_no_lineages(tmp_path: Path) -> None:
    save_folder(write(tmp_path / "own", ["cat/a/1.jpg", "dog/b/1.jpg"]), None, tmp_path / "raw")
    assert list(pd.read_csv(tmp_path / "raw" / "table.csv")) == ["path", "label"]


def test_an_image_may_be_known_only_to_some_depth(tmp_path: Path) -> None:
    text = (
        "path,family,genus,label,split\n1.jpg,Felidae,Panthera,lion,train\n"
        "2.jpg,Felidae,Panthera,,train\n3.jpg,Felidae,,,test\n4.jpg,Canidae,Canis,wolf,test\n"
    )
    table = save_table(tmp_path, text)
    assert list(table) == ["path", "label", "split", "lineage"]
    assert table["lineage"].tolist() == [
        "Felidae/Panthera/lion",
        "Felidae/Panthera",
        "Felidae",
        "Canidae/Canis/wolf",
    ]
    assert table["label"].tolist() == ["lion", "Felidae/Panthera", "Felidae", "wolf"]
    assert module.read(tmp_path / "raw").levels == ()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("path,lineage\n1.jpg,a/b\n2.jpg, a / c /\n3.jpg,a\n", ["a/b", "a/c", "a"]),
        ("path,label,lineage\n1.jpg,x,a/b\n2.jpg,,a/c\n3.jpg,x,a\n", ["x", "a/c", "x"]),
    ],
)
def test_a_lineage_takes_the_place_of_levels(tmp_path: Path, text: str, labels: list[str]) -> None:
    table = save_table(tmp_path, text)
    assert table["lineage"].tolist() == ["a/b", "a/c", "a"]
    assert table["label"].tolist() == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,family,genus,label\n1.jpg,a,b,c\n2.jpg,a,,d\n",
            "found 'd' in line 3, column label, expected nothing below the blank in column genus",
        ),
        (
            "path,family,genus,label\n1.jpg,,b,\n",
            "found 'b' in line 2, column genus, expected nothing below the blank in column family",
        ),
        (
            "path,family,label\n1.jpg,a,\n2.jpg,b/c,d\n",
            "found 'b/c' in line 3, column family, expected no slash in names",
        ),
        (
            "path,lineage,kind,label\n1.jpg,a,b,c\n",
            "found columns lineage and kind, expected lineage alone or without it",
        ),
        ("path,lineage\n1.jpg,a\n2.jpg,\n", "found '' in line 3, column lineage, expected names"),
        ("path,lineage\n1.jpg,a//b\n", "found 'a//b' in line 2, column lineage, expected names"),
        (
            "path,family,label\n1.jpg,a,b\n2.jpg,c,b\n3.jpg,a,\n",
            "found 'c' in line 3, column family, expected 'a' of class 'b' as in line 2",
        ),
        (
            "path,family,label\n1.jpg,a,\n2.jpg,,\n",
            "found '' in line 3, column label, expected a class",
        ),
    ],
)
def test_a_table_without_a_clear_tree_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        save_table(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/own/my.csv: ")
    assert "\n" not in str(raised.value)


def test_links_are_followed_but_not_in_circles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "own", ["cat/1.jpg", "dog/1.jpg", "dog/deep/2.jpg"])
    elsewhere = write(tmp_path / "elsewhere", ["2019/x.jpg", "2019/y.jpg", "z.jpg"])
    (folder / "cat" / "2019").symlink_to(elsewhere / "2019")
    (folder / "cat" / "z.jpg").symlink_to(elsewhere / "z.jpg")
    (folder / "owl").symlink_to(folder / "dog")  # the same folder twice is no circle
    (folder / "dog" / "deep" / "back").symlink_to(folder / "dog")
    (folder / "dog" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    save_folder(folder, None, tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "raw" / "images.zip") as archive:
        contents = {name: archive.read(name).decode() for name in archive.namelist()}
    assert contents == {
        "cat/1.jpg": "cat/1.jpg",
        "cat/2019/x.jpg": "2019/x.jpg",
        "cat/2019/y.jpg": "2019/y.jpg",
        "cat/z.jpg": "z.jpg",
        "dog/1.jpg": "dog/1.jpg",
        "dog/deep/2.jpg": "dog/deep/2.jpg",
        "owl/1.jpg": "dog/1.jpg",
        "owl/deep/2.jpg": "dog/deep/2.jpg",
    }
    manifest = read_json(tmp_path / "raw" / "manifest.json")
    assert manifest["ignored"] == {"broken link": 2, "link that leads back": 2}
    assert manifest["links"] == [
        *("dog/deep/back", "dog/gone.jpg", "owl/deep/back", "owl/gone.jpg"),
    ]
    assert capsys.readouterr().err == (
        "folder: 4 images at another depth, so folders became lineages\n"
        "folder: 8 images of 3 classes read; not read: 2 broken link, 2 link that leads back "
        "(dog/deep/back, dog/gone.jpg, owl/deep/back, owl/gone.jpg)\n"
    )


def test_what_was_not_read_is_one_line_by_suffix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = ["cat/1.HEIC", "cat/2.heic", "dog/notes", "dog/a.txt", "cat/.x"]
    folder = write(tmp_path / "own", ["cat/1.jpg", "dog/1.jpg", *others])
    save_folder(folder, None, tmp_path / "raw")
    line = "folder: 2 images of 2 classes read; not read: 2 .heic, 1 .txt, 1 hidden, 1 no suffix\n"
    assert capsys.readouterr().err == line


def test_formats_that_can_be_read_are_images(tmp_path: Path) -> None:
    names = [f"{label}/1{suffix}" for label in "ab" for suffix in module.SUFFIXES]
    assert {".tif", ".tiff", ".jfif", ".webp", ".gif"} <= set(module.SUFFIXES)
    save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")
    assert len(stored(tmp_path / "raw")) == len(names)


@pytest.mark.parametrize(
    "system",
    ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found"],
)
def test_folders_of_storage_and_archives_are_left_out_at_any_depth(
    tmp_path: Path, system: str
) -> None:
    others = [f"{system}/cat/1.jpg", f"cat/{system}/thumb.jpg", "cat/Thumbs.db", "dog/.DS_Store"]
    folder = write(tmp_path / "own", ["cat/1.jpg", "dog/1.jpg", *others])
    save_folder(folder, None, tmp_path / "raw")
    assert stored(tmp_path / "raw") == {"cat/1.jpg": "cat", "dog/1.jpg": "dog"}
    assert read_json(tmp_path / "raw" / "manifest.json")["ignored"] == {"hidden": 4}


def test_a_class_that_loses_all_its_files_is_refused(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "dog/1.jpg", "owl/1.heic", "owl/deep/2.heic", "owl/notes.txt"]
    folder = write(tmp_path / "own", names)
    message = r"own/owl: found no image among its files \(2 .heic, 1 .txt\), expected .bmp, .gif"
    with pytest.raises(InputError, match=message):
        save_folder(folder, None, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_class_folders_that_differ_in_the_form_of_unicode_are_one_class(tmp_path: Path) -> None:
    names = ["Cafe\u0301/1.jpg", "Caf\xe9/2.jpg", "b/1.jpg"]
    save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")
    assert stored(tmp_path / "raw") == {
        names[0]: "Caf\xe9",
        names[1]: "Caf\xe9",
        names[2]: "b",
    }


def test_a_table_finds_files_whose_names_are_written_in_another_way(tmp_path: Path) -> None:
    names = ["Cafe\u0301/1.jpg", "a b/2.jpg", "x/ 3.jpg", "4.jpg"]
    folder = write(tmp_path / "own", names)
    rows = ["Caf\xe9/1.jpg,a", "a b\\2.jpg,b", "x/3.jpg,c", f"{folder}/4.jpg,d"]
    (folder / "my.csv").write_text("path,label\n" + "\n".join(rows), encoding="utf-8")
    save_folder(folder, "my.csv", tmp_path / "raw")
    assert stored(tmp_path / "raw") == dict(zip(names, "abcd", strict=True))


def test_a_table_of_images_may_be_a_parquet(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", NAMES)
    pd.DataFrame({"path": NAMES, "label": [1.0] * 4 + [2.0] * 4}).to_parquet(folder / "my.parquet")
    save_folder(folder, "my.parquet", tmp_path / "raw")
    assert list(stored(tmp_path / "raw").values()) == ["1"] * 4 + ["2"] * 4


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["images/1.jpg", "images/2.jpg", "my.csv"],
            "found one class folder, .*own/images, expected at least two; if a table lists the "
            "images, folder.table names it, such as my.csv",
        ),
        (
            ["data/cat/1.jpg", "data/dog/1.jpg"],
            "found one class folder, .*own/data, expected at least two; if classes are the folders "
            "in it, folder.path: .*own/data",
        ),
        (
            ["1.jpg", "my.csv"],
            "found 1.jpg outside class folders, .* folder.table .* such as my.csv",
        ),
        (["\u3000/1.jpg", "a/1.jpg"], "found '\\\\u3000/1.jpg', expected folders with names"),
    ],
)
def test_a_folder_that_is_taken_for_a_class_is_named_with_the_way_out(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")


ODD = [
    "Ba$$in",
    "a|b",
    "_under",
    "<b>x",
    "line\nbreak",
    "🙂👩\u200d🚀",
    "猫の喵",
    "ألفا אלף",
    'a,b;"c"',
    "NA",
]


def test_odd_names_of_folders_and_files_are_read_and_written(tmp_path: Path) -> None:
    names = [f"{odd}/{odd}.jpg" for odd in ODD]
    save_folder(write(tmp_path / "own", names), None, tmp_path / "raw")
    listing = module.read(tmp_path / "raw")
    plain = [odd.replace("\n", " ") for odd in ODD]
    assert dict(zip(listing.samples["id"], listing.samples["label"], strict=True)) == {
        f"{odd}/{odd}.jpg": odd for odd in plain
    }
    contents = {listing.samples["id"][row]: content for row, content in listing.images()}
    assert set(contents) == {f"{odd}/{odd}.jpg" for odd in plain}
    assert contents["line break/line break.jpg"] == b"line\nbreak/line\nbreak.jpg"


def test_two_files_that_would_be_stored_under_one_name_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", ["a/x\ny.jpg", "a/x y.jpg", "b/1.jpg"])
    with pytest.raises(InputError, match=r"found 'a/x\\ny.jpg' and 'a/x y.jpg', expected names"):
        save_folder(folder, None, tmp_path / "raw")


def test_a_relative_path_that_is_not_there_says_where_it_starts(tmp_path: Path) -> None:
    message = "found no folder own, .*; a relative path starts in the checkout that runs, which"
    with pytest.raises(InputError, match=f"^folder.path: {message} dvc exp run --temp"):
        save_folder(Path("own"), None, tmp_path / "raw")
    with pytest.raises(InputError, match=r"expected the folder of your images$"):
        save_folder(tmp_path / "own", None, tmp_path / "raw")


def test_a_folder_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "own", ["cat/1.jpg", "dog/1.jpg"])
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    message = r"own/dog: found a folder that cannot be read \(Permission denied\), expected one"
    with pytest.raises(InputError, match=message):
        save_folder(folder, None, tmp_path / "raw")
