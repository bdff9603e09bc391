"""Tables of people: what is read right, and what is refused with line, column and value."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from geomix.datasets.table import (
    Table,
    check_filled,
    check_unique,
    clean,
    read_user_table,
    settle_lineages,
    settle_splits,
)
from geomix.errors import InputError

REQUIRED = ("id", "label")


def write(folder: Path, content: str | bytes) -> Path:
    """Write a CSV byte by byte."""
    path = folder / "own.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes) -> dict[str, list[str]]:
    """Read a CSV and return its columns."""
    table = read_user_table(write(folder, content), "embeddings.table", REQUIRED[1:])
    columns: dict[str, list[str]] = table.rows.to_dict("list")
    return columns


def settle(folder: Path, content: str) -> Table:
    """Read a CSV as vectors have it, and settle all that it says."""
    table = read_user_table(write(folder, content), "embeddings.table", REQUIRED)
    table = settle_lineages(table, REQUIRED)
    check_filled(table, "id")
    check_unique(table, "id")
    return settle_splits(table)


PLAIN = {"label": ["a", "b c"], "kind": ["x", "y"]}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("label,kind\na,x\nb c,y\n", id="plain"),
        pytest.param("label,kind\na,x\nb c,y", id="no end of the last line"),
        pytest.param("label,kind\r\na,x\r\nb c,y\r\n", id="lines of Windows"),
        pytest.param("label,kind\ra,x\rb c,y\r", id="lines of old"),
        pytest.param("\ufefflabel,kind\na,x\nb c,y\n", id="a byte-order mark"),
        pytest.param('\ufeff"label","kind"\n"a","x"\n"b c","y"\n', id="a mark before a quote"),
        pytest.param("label;kind\na;x\nb c;y\n", id="semicolons"),
        pytest.param("label\tkind\na\tx\nb c\ty\n", id="tabs"),
        pytest.param("label\tkind\na\tx\nb c\ty\n".encode("utf-16"), id="UTF-16 of a spreadsheet"),
        pytest.param("label, kind\na , x\n b c,\ty \n", id="spaces"),
        pytest.param("label,kind\na\xa0,\u3000x\nb\u2003c,y\u200b\n", id="other spaces"),
        pytest.param('label,kind\na,x\n"b\nc",y\n', id="a line break in quotes"),
        pytest.param("label,kind,\na,x,\nb c,y,\n", id="a comma at the end of each line"),
        pytest.param("label,kind\na,x,\nb c,y, ,\n", id="commas beyond the header"),
        pytest.param("label,kind\n\na,x\n\nb c,y\n,\n , \n", id="blank lines"),
        pytest.param("label,_note,kind\na,7,x\nb c,8,y\n", id="a column that is left out"),
    ],
)
def test_what_is_written_in_other_ways_is_the_same_table(
    tmp_path: Path, content: str | bytes
) -> None:
    assert read(tmp_path, content) == PLAIN


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    content = 'label,kind\n\n"a\nb",x\nc,y\n'
    table = read_user_table(write(tmp_path, content), "embeddings.table", REQUIRED[1:])
    assert table.rows.index.tolist() == [3, 5]
    assert table.place(1, "kind") == "line 5, column kind"


def test_what_makes_lineages_of_classes_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(tmp_path, "id,label,kind\n1,a,x\n2,b,y\n")
    assert capsys.readouterr().err == ""
    settle(tmp_path, "id,label,kind\n1,a,x\n2,,y\n3,b,y\n")
    assert capsys.readouterr().err == ("table: 1 row without a label, so levels became lineages\n")
    settle(tmp_path, "id,label,levels\n1,a,x/y\n2,b,y\n3,c,y\n4,d,u/v/w\n")
    assert capsys.readouterr().err == "table: 2 rows of another depth, so levels became lineages\n"


def test_rows_with_fewer_fields_than_the_header_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, "label,split,\na,train\nb,test,\n")
    assert capsys.readouterr().err == ""
    columns = read(tmp_path, "label,split\na,train\nb\n\nc\n")
    assert columns["split"] == ["train", "", ""]
    found = "table: 2 rows have fewer fields than the header (the first in line 3)"
    assert capsys.readouterr().err == f"{found}, which count as blank\n"


def test_a_row_may_be_shorter_than_the_header(tmp_path: Path) -> None:
    assert read(tmp_path, "label,kind,x\na\nb,c\n")["kind"] == ["", "c"]


def test_labels_that_differ_in_stray_spaces_or_in_the_form_of_unicode_are_one(
    tmp_path: Path,
) -> None:
    content = "label\nx\nx \nx\xa0\n\u3000x\nx\u200b\nCafe\u0301\nCaf\xe9\n"
    assert read(tmp_path, content)["label"] == ["x"] * 5 + ["Caf\xe9"] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("  a \t b\n", "a b"),
        ("a\r\nb", "a b"),
        ("\x00a\x1bb\x7f", "a b"),
        ("e\u0301", "\xe9"),
        ("\ufeff\u202ea\u2066", "a"),
        ("👩\u200d🚀 猫 ألف", "👩\u200d🚀 猫 ألف"),
        ("\u3000", ""),
    ],
)
def test_a_name_is_clean_once_it_was_cleaned(text: str, expected: str) -> None:
    assert clean(text) == clean(clean(text)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"found no table \(no header\), expected CSV in UTF-8"),
        ("\n\n", r"found no table \(no header\)"),
        ("label,kind\n", "found no rows, expected one below the header"),
        ("label,kind\n,\n", "found no rows"),
        (
            "label,family\nc0,f0,\nc1,f1,x\n",
            "found 'x' in line 3, column 3, expected 2 fields as in the header",
        ),
        ('label\n"a\n', r"found no table \(line 2: unexpected end of data\)"),
        ('label\na\n"b"c\n', r"found no table \(line 3: .* expected after"),
        ("label\na\nL\xf6we\n".encode("latin-1"), r"found no table \(byte 0xf6 in line 3\), exp"),
        (b"label\na\n\0\n", r"found no table \(byte 0 in line 3\)"),
        (
            ",label\n0,a\n1,b\n",
            r"found a column without a name, column 1, with '0' first \(an index, which "
            r"to_csv\(index=False\) leaves out\?\), expected a name for each column",
        ),
        ("Unnamed: 0,label\n0,a\n", "found a column without a name, column 1, with '0' first"),
        ("label,label\na,b\n", "found column 'label' twice, expected each once"),
        ("label,kind,kind \na,b,c\n", "found column 'kind' twice"),
        ("label,Split\na,train\n", "found column 'Split', expected 'split'"),
        ("label,split \na,train\n", "found column 'split ', expected 'split'"),
        ("label,split\xa0\na,train\n", r"found column 'split\\xa0', expected 'split'"),
        ("label,splits\na,train\n", "found column 'splits', expected 'split'"),
        ("label,spilt\na,train\n", "found column 'spilt', expected 'split', or a name for a level"),
        ("label,ROLE\na,query\n", "found column 'ROLE', expected 'role'"),
        ("Label\na\n", "found column 'Label', expected 'label'"),
        ("lable\na\n", r"found columns lable; expected label too \(is it 'lable'\?\)"),
        ("label,Path,x\na,b,c\n", "found column 'Path', expected 'path'"),
        ("label,I D\na,7\n", "found column 'I D', expected 'id'"),
        ("kind\na\n", "found columns kind; expected label too$"),
        ("label,aspect\na,1\n", "found column aspect, expected another name for a level"),
        ("label,size_sd\na,1\n", "found column size_sd, expected another name for a level"),
    ],
)
def test_a_csv_that_could_be_misread_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path, content)
    assert str(raised.value).startswith(f"{tmp_path}/own.csv: ")
    assert "\n" not in str(raised.value)


def test_other_names_are_levels(tmp_path: Path) -> None:
    names = [
        "level",
        "level 1",
        "class",
        "classes",
        "images",
        "vectors",
        "kind_",
        "ピン|$x$",
        "set",
    ]
    text = io.StringIO()
    csv.writer(text).writerows([["label", *names], ["a", *names]])
    assert list(read(tmp_path, text.getvalue())) == ["label", *names]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "id,label,levels\n1,tote,Accessories/Bags\n2,sock,Apparel/Feet\n",
            {
                "label": ["tote", "sock"],
                "level 1": ["Accessories", "Apparel"],
                "level 2": ["Bags", "Feet"],
            },
        ),
        (
            "id,label,levels\n1,tote,Accessories / Bags/\n2,sock,Apparel\n3,,Apparel\n4,x,\n",
            {
                "label": ["tote", "sock", "Apparel", "x"],
                "lineage": ["Accessories/Bags/tote", "Apparel/sock", "Apparel", "x"],
            },
        ),
        (
            "id,lineage\n1,Accessories/Bags\n2,Apparel\n",
            {"label": ["Accessories/Bags", "Apparel"], "lineage": ["Accessories/Bags", "Apparel"]},
        ),
        (
            "id,label,levels\n1,tote,Bags\n2,,Bags\n",
            {"label": ["tote", "Bags"], "lineage": ["Bags/tote", "Bags"]},
        ),
    ],
)
def test_a_path_of_levels_is_read_as_one(
    tmp_path: Path, content: str, expected: dict[str, list[str]]
) -> None:
    rows = settle(tmp_path, content).rows.drop(columns="id")
    assert {name: rows[name].tolist() for name in rows} == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id,label,levels,price\n1,a,x,3\n",
            "found columns levels and price, expected levels alone or without it: every",
        ),
        ("id,label,levels\n1,a,x//y\n", "found 'x//y' in line 2, column levels, expected names"),
        (
            "id,label,levels\n1,a/b,x/y\n2,c,x\n",
            "found 'a/b' in line 2, column label, expected no slash",
        ),
        (
            "id,label,price\n1,a,3\n2,a,4\n",
            "found '4' in line 3, column price, expected '3' of class 'a' as in line 2, column "
            "price: every other column is a level of the hierarchy, and a name with _ before it is",
        ),
        (
            "id,label,levels\n1,a,x/y\n2,a,x/z\n",
            "found 'z' in line 3, column level 2, expected 'y'",
        ),
    ],
)
def test_levels_that_are_no_good_are_refused_in_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        settle(tmp_path, content)
    assert "\n" not in str(raised.value)


def read_columns(folder: Path, **columns: Any) -> dict[str, list[str]]:
    """Write a .parquet, read it as a table and return its columns."""
    parquet.write_table(pa.table(columns), folder / "own.parquet")
    table = read_user_table(folder / "own.parquet", "embeddings.table", ("label",), ["v0"])
    found: dict[str, list[str]] = table.rows.to_dict("list")
    return found


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["a", None, " ", "\u3000b\n"]), ["a", "", "", "b"]),
        (pa.array([7, None, 8]), ["7", "", "8"]),
        (
            pa.array([7.0, float("nan"), None, 0.1, 1e20], pa.float64()),
            ["7", "", "", "0.1", "1e+20"],
        ),
        (pa.array([7.5, float("nan"), 0.1], pa.float32()), ["7.5", "", "0.1"]),
        (pa.array([True, None]), ["true", ""]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", "", "a"]),
        (pa.array([1, None]).dictionary_encode(), ["1", ""]),
        (pa.nulls(2), ["", ""]),
        (pa.array(["nan", "NA", "None"]), ["nan", "NA", "None"]),
        (pa.array([pd.Timestamp("2020-01-02").date(), None]), ["2020-01-02", ""]),
    ],
)
def test_missing_values_of_every_type_are_blank_and_whole_floats_are_integers(
    tmp_path: Path, column: pa.Array, texts: list[str]
) -> None:
    assert read_columns(tmp_path, label=column)["label"] == texts


def test_categories_of_pandas_are_their_names(tmp_path: Path) -> None:
    kinds = pd.Categorical.from_codes([0, -1, 1], ["x", "y"])
    pd.DataFrame({"label": [1.0, np.nan, 2.0], "kind": kinds}).to_parquet(tmp_path / "own.parquet")
    table = read_user_table(tmp_path / "own.parquet", "embeddings.table", ("label",))
    assert table.rows.to_dict("list") == {"label": ["1", "", "2"], "kind": ["x", "", "y"]}
    assert table.place(2, "kind") == "row 3, column kind"


def test_a_missing_label_of_a_parquet_is_no_class(tmp_path: Path) -> None:
    parquet.write_table(
        pa.table({"id": ["1", "2"], "label": [float("nan"), 1.0]}), tmp_path / "own.parquet"
    )
    table = read_user_table(tmp_path / "own.parquet", "embeddings.table", REQUIRED)
    with pytest.raises(InputError, match="found '' in row 1, column label, expected a class$"):
        check_filled(settle_lineages(table, REQUIRED), "id")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Label": ["a"]}, "found column 'Label', expected 'label'"),
        ({"label": pa.array([], pa.string())}, "found no rows"),
        ({"label": [["a"]]}, "found list.* in column label, expected text or numbers"),
        ({"": ["0"], "label": ["a"]}, "found a column without a name, column 1, with '0' first"),
    ],
)
def test_a_parquet_that_could_be_misread_is_refused_in_one_line(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read_columns(tmp_path, **columns)
    assert "\n" not in str(raised.value)


def test_a_long_value_is_cut_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        settle(tmp_path, f"id,label,split\n1,a,{'x' * 500}\n")
    assert len(str(raised.value)) < 300
