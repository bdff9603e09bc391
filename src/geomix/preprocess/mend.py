"""Files of images that need a look beyond their pixels: damaged PNG, PNG with long texts, TIFF."""

import io
import zlib
from collections.abc import Iterator

from geomix.data.pixels import load_image, open_image
from geomix.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # both orders of bytes, 32 and 64 bits
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # what tells nothing of the pixels we use
TRANSPARENCY = b"tRNS"
FRAME = 12  # bytes of a chunk beside its data: length and kind before it, checksum after it


def is_png(data: bytes) -> bool:
    """Return whether a file begins as a PNG."""
    return data.startswith(PNG)


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins as a TIFF."""
    return data.startswith(TIFF)


def list_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the whole chunks of a PNG: kind, first byte and the byte after the last one."""
    begin = len(PNG)
    while begin + FRAME <= len(data):
        kind = data[begin + 4 : begin + 8]
        end = begin + FRAME + int.from_bytes(data[begin : begin + 4])
        if end > len(data):
            return
        yield kind, begin, end
        if kind == b"IEND":
            return
        begin = end


def check_png(data: bytes) -> None:
    """Check the checksums of the chunks that decide on pixels: Pillow skips those of the data.

    Raises:
        InputError: If one does not hold.
    """
    view = memoryview(data)
    for kind, begin, end in list_chunks(data):
        decides = not kind[0] & 0x20 or kind == TRANSPARENCY  # critical kinds begin in upper case
        checksum = int.from_bytes(view[end - 4 : end])
        if decides and zlib.crc32(view[begin + 4 : end - 4]) != checksum:
            found = f"a broken PNG file (the checksum of {kind.decode('ascii', 'replace')})"
            raise InputError(f"image: found {found}, expected a whole one")


def strip_texts(data: bytes) -> bytes:
    """Return a PNG without its texts and its colour profile; pixels and rotation stay."""
    kept, end = [PNG], len(PNG)
    for kind, begin, end in list_chunks(data):
        if kind not in TEXTS:
            kept.append(data[begin:end])
    return b"".join([*kept, data[end:]])


def convert_tiff(data: bytes, channels: int) -> bytes:
    """Return the first picture of a TIFF as a PNG of 8 bits, upright, on white.

    Raises:
        InputError: As `open_image` and `load_image`.
    """
    file = io.BytesIO()
    load_image(open_image(data, ("TIFF",)), channels).save(file, "PNG")
    return file.getvalue()
