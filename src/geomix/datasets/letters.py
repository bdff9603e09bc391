"""Letters of the DejaVu fonts inside matplotlib: how they are drawn, stored and read.

`LETTERS` are those that all faces have (categories Ll, Lu, Lt, Lo; five scripts), except every
letter whose drawing equals that of an earlier one in some face (Latin A, Greek Alpha, Cyrillic A).
They are listed rather than derived, so that no data set changes with the Unicode tables of Python;
a test derives them anew and compares.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from geomix.datasets.listing import raw_file
from geomix.errors import InputError
from geomix.files import read_json

SIDE = 32  # pixels
COLUMNS = 38  # letters in a row of a sheet: 1,216 of them make 32 full rows
POINTS, BASELINE = 20, 23  # at this size, on this row of pixels, every letter of every face fits
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
)
LETTERS = """
ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÀÁÂÃÄÅÆÇÈÉÊË
ÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿĀāĂăĄąĆćĈĉĊċČč
ĎďđĒēĔĕĖėĘęĚěĜĝĞğĠġĢģĤĥĦħĨĩĪīĬĭĮįİıĲĳĴĵĶķĸĹĺĻļĽľĿŀŁłŃńŅņŇňŉŊŋŌōŎ
ŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŦŧŨũŪūŬŭŮůŰűŲųŴŵŶŷŸŹźŻżŽžſƀƁƂƃƄƅƆƇƈƊƋƌƍƎƏ
ƐƑƒƓƔƕƖƗƘƙƚƛƜƝƞƟƠơƢƣƤƥƦƧƨƩƪƫƬƭƮƯưƱƲƳƴƵƶƷƸƹƺƻƼƽƾƿǀǁǂǃǍǎǏǐǑǒǓǔǕǖǗǘ
ǙǚǛǜǝǟǠǡǢǣǦǧǨǩǪǫǬǭǮǯǴǵǶǸǹǼǽǾǿȀȁȂȃȄȅȆȇȈȉȊȋȌȍȎȏȐȑȒȓȔȕȖȗȘșȚțȜȝȞȟȡȤȥ
ȦȧȨȩȪȫȬȭȮȯȰȱȲȳȴȵȶȷȸȹȺȻȼȽȾȿɀɁɃɄɅɌɍɐɑɒɓɔɕɖɗɘɚɛɜɝɞɟɠɡɢɣɤɥɦɧɨɩɪɫɬɭɮɯ
ɰɱɲɳɴɵɶɷɸɹɺɻɼɽɾɿʀʁʂʃʄʅʆʇʈʉʊʋʌʍʎʏʐʑʒʓʔʕʖʗʘʙʚʛʜʝʞʟʠʡʢʣʤʥʦʧʨʩʪʫʬʭʮʯ
ΆΈΉΊΌΎΏΐΓΔΘΞΠΦΨΩάέήίΰβγδζθλμνξπρςστυφχψωϊϋύώϐϑϒϓϔϖϗϘϙϚϛϝϞϟϠϡϰϱϵϺ
ϻϼϾϿЂЃЄЉЊЋЌЍЎЏДЖЗИЙЛУФЦЧШЩЪЫЬЭЮЯбгджйлмфцчшщъыьэюяђѓљњћќѝўџѢѣҐґҒ
ғҔҕҖҗҘҙҚқҢңҤҥҬҭүҰұҲҳҺӁӂӃӄӇӈӋӌӚӛӜӝӞӟӢӣӤӥӪӫӬӭӮӰӲӳӴӵӶӷӸӹԱԲԳԴԵԶԷԸԹԺԻ
ԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՎՏՐՑՒՓՔՖաբգդեզէըթժիլխծկձղճմնշչպջռվտրցւփքֆևაბგდე
ვზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺᴂᴈᴉᴔᴖᴗᴝᴞᴟᵷᵻᶅḀḁḂḃḄḅḆḇḈḉḊḋḌḍ
ḎḏḐḑḒḓḘḙḚḛḜḝḞḟḠḡḢḣḤḥḦḧḨḩḪḫḬḭḰḱḲḳḴḵḶḷḸḹḺḻḼḽḾḿṀṁṂṃṄṅṆṇṈṉṊṋṌṍṔṕṖṗṘṙ
ṚṛṜṝṞṟṠṡṢṣṨṩṪṫṬṭṮṯṰṱṲṳṴṵṶṷṸṹṼṽṾṿẀẁẂẃẄẅẆẇẈẉẊẋẌẍẎẏẐẑẒẓẔẕẖẗẘẙẛẠạẬậẰ
ằẶặẸẹẼẽỆệỊịỌọỘộỚớỜờỠỡỢợỤụỨứỪừỮữỰựỲỳỴỵỸỹἀἁἂἃἄἅἆἇἈἉἊἋἌἍἎἏἐἑἒἓἔἕἘἙἚ
ἛἜἝἠἡἢἣἤἥἦἧἨἩἪἫἬἭἮἯἰἱἲἳἴἵἶἷἸἹἺἻἼἽἾἿὀὁὂὃὄὅὈὉὊὋὌὍὐὑὒὓὔὕὖὗὙὛὝὟὠὡὢὣὤ
ὥὦὧὨὩὪὫὬὭὮὯὰὲὴὶὺὼᾀᾁᾂᾃᾄᾅᾆᾇᾈᾉᾊᾋᾌᾍᾎᾏᾐᾑᾒᾓᾔᾕᾖᾗᾘᾙᾚᾛᾜᾝᾞᾟᾠᾡᾢᾣᾤᾥᾦᾧᾨᾩᾪᾫᾬᾭᾮ
ᾯᾰᾱᾲᾳᾴᾶᾷᾺᾼιῂῃῄῆῇῈῊῌῐῑῒῖῗῚῠῡῢῤῥῦῧῨῪῬῲῳῴῶῷῸῺῼⱤⱭⱮⱯⱰⱵⱶⱷⱹⱺⱾⱿꜦꜧꞋꞌꞐꞑꞪﬁﬂ
""".replace("\n", "")


def fonts_folder() -> Path:
    """Return the folder of the DejaVu fonts inside matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def open_faces(folder: Path) -> dict[str, Path]:
    """Return the file of each face.

    Raises:
        InputError: Naming the fonts that are not there.
    """
    paths = {face: folder / f"{face}.ttf" for face in FACES}
    missing = [face for face, path in paths.items() if not path.is_file()]
    if missing:
        expected = "the 12 DejaVu faces of matplotlib"
        raise InputError(f"{folder}: found no font {', '.join(missing)}; expected {expected}")
    return paths


def draw_face(path: Path, letters: Sequence[str]) -> np.ndarray:
    """Draw letters in one face, white on black, on one baseline as in a line of text, and centred.

    Args:
        path: A TrueType file.
        letters: L letters.

    Returns:
        Grey images, uint8, shape (L, SIDE, SIDE).

    Raises:
        InputError: Naming the letters that the font lacks.
    """
    codes = FT2Font(path).get_charmap()
    missing = [f"{letter} (U+{ord(letter):04X})" for letter in letters if ord(letter) not in codes]
    if missing:
        expected = f"all {len(letters)} of the data set"
        raise InputError(f"{path.name}: found no letter {', '.join(missing)}; expected {expected}")
    font = ImageFont.truetype(path, POINTS, layout_engine=ImageFont.Layout.BASIC)
    images = np.zeros((len(letters), SIDE, SIDE), np.uint8)
    for image, letter in zip(images, letters, strict=True):
        canvas = Image.new("L", (SIDE, SIDE), 0)
        pen = ImageDraw.Draw(canvas)
        box = pen.textbbox((0, 0), letter, font=font, anchor="ls")
        left, right = int(box[0]), int(box[2])
        place = ((SIDE - (right - left)) // 2 - left, BASELINE)
        pen.text(place, letter, fill=255, font=font, anchor="ls")
        image[:] = np.asarray(canvas)
    return images


def draw_letters(folder: Path, letters: Sequence[str]) -> dict[str, np.ndarray]:
    """Draw all letters in all faces.

    Returns:
        The images of each face, uint8, shape (L, SIDE, SIDE).

    Raises:
        InputError: If a font or a letter is missing, or two letters have the same drawing.
    """
    drawings = {face: draw_face(path, letters) for face, path in open_faces(folder).items()}
    for face, images in drawings.items():
        seen: dict[bytes, str] = {}
        for letter, image in zip(letters, images, strict=True):
            twin = seen.setdefault(image.tobytes(), letter)
            if twin != letter:
                found = f"one drawing for {twin} and {letter}"
                raise InputError(f"{face}: found {found}, expected another for each class")
    return drawings


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay images out on one sheet, row by row, and fill the last row up with black.

    Args:
        images: Shape (L, H, W).
        columns: Images in a row of the sheet.

    Returns:
        The sheet, shape (ceil(L / columns) * H, columns * W).
    """
    count, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width), images.dtype)
    sheet[:count] = images
    return (
        sheet.reshape(rows, columns, height, width)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width)
    )


def untile(sheet: np.ndarray, side: int, count: int) -> np.ndarray:
    """Cut a sheet, filled row by row, into its square images.

    Args:
        sheet: Shape (rows * side, columns * side).
        side: Pixels.
        count: Images on the sheet; the rest of its last row is dropped.

    Returns:
        Shape (count, side, side).
    """
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    return (
        sheet.reshape(rows, side, columns, side)
        .swapaxes(1, 2)
        .reshape(rows * columns, side, side)[:count]
    )


def write_letters(folder: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Draw letters: a sheet for each face, and letters.csv in the order of the tiles.

    Args:
        folder: The target folder.
        table: A row for each letter: letter, and what a data set says of it.

    Returns:
        What the manifest says of them.

    Raises:
        InputError: As `draw_letters`.
    """
    letters = table["letter"].tolist()
    drawings = draw_letters(fonts_folder(), letters)
    for face, images in drawings.items():
        Image.fromarray(tile(images, COLUMNS)).save(folder / f"{face}.png")
    table.to_csv(folder / "letters.csv", index=False)
    return {
        "classes": len(letters),
        "images": len(letters) * len(drawings),
        "side": SIDE,
        "pixels_sha256": {face: hash_pixels(images) for face, images in drawings.items()},
    }


def hash_pixels(images: np.ndarray) -> str:
    """Return the SHA-256 of images in hexadecimal."""
    return hashlib.sha256(images.tobytes()).hexdigest()


def read_sheet(path: Path, side: int, count: int, expected: str) -> np.ndarray:
    """Read the images of one face.

    Args:
        path: The sheet.
        side: Of an image, in pixels.
        count: Images on the sheet.
        expected: The SHA-256 of their pixels.

    Returns:
        uint8, shape (count, side, side).

    Raises:
        InputError: If the sheet is damaged or has other pixels.
    """
    try:
        with Image.open(path) as image:
            sheet = np.asarray(image)
    except OSError as error:
        raise InputError(f"{path}: not a whole image: {error}") from None
    images = untile(sheet, side, count)
    found = hash_pixels(images)
    if found != expected:
        raise InputError(
            f"{path}: found pixels of sha256 {found[:16]}..., expected {expected[:16]}..."
        )
    return images


def read_letters(raw: Path, columns: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Read drawn letters; all faces of a letter stand together.

    Args:
        raw: The folder that `write_letters` filled, with its manifest.
        columns: Of letters.csv beside letter.

    Returns:
        The samples (id, label, and the columns), and their images, uint8, (N, side, side, 1).

    Raises:
        InputError: If a file is missing or its pixels are not those of the manifest.
    """
    manifest = read_json(raw / "manifest.json")
    side, sheets = manifest["side"], manifest["pixels_sha256"]
    paths = {face: raw_file(raw, f"{face}.png") for face in sheets}
    table = raw_file(raw, "letters.csv")
    letters = pd.read_csv(table, dtype=str, keep_default_na=False)
    if len(letters) != manifest["classes"] or list(letters.columns) != ["letter", *columns]:
        found = f"{len(letters)} rows of {', '.join(letters.columns)}"
        raise InputError(f"{table}: found {found}, expected {manifest['classes']}")
    faces = [read_sheet(path, side, len(letters), sheets[face]) for face, path in paths.items()]
    images = np.stack(faces, axis=1).reshape(-1, side, side, 1)
    rows = [
        (f"U+{ord(letter):04X}-{face}", letter, *told)
        for letter, *told in letters.to_numpy()
        for face in sheets
    ]
    return pd.DataFrame(rows, columns=["id", "label", *columns]), images
