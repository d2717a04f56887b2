"""Photos: checked by what their bytes are, made upright and small, stripped of metadata, encoded again.

The stored file is never the uploaded one. Data hidden before, in or behind a picture, like a script, a
position or an archive, does not survive.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

from fastopp.errors import FastOppError
from fastopp.memory import instance_memory

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PHOTO_BYTES = 5 * 1024 * 1024  # as FastOpp 0.4.8
MAX_PHOTO_PIXELS = 40_000_000  # phones take 12 to 50 million
MAX_DECODED_BYTES = 4 * MAX_PHOTO_PIXELS  # of one picture, where there is memory enough
MEMORY_SHARE = 4  # one picture may take a quarter of the instance's memory
MAX_PHOTO_SIDE = 1600  # pixels: twice the width of the widest card, for dense screens
JPEG_QUALITY = 85
PHOTOS_AT_ONCE = 1  # bounds the memory

# Pillow's name of a format: the content type, the extension, and what to save it as.
_FORMATS = {
    "JPEG": ("image/jpeg", "jpg", "JPEG"),
    "MPO": ("image/jpeg", "jpg", "JPEG"),  # a JPEG with more pictures behind it, as phones take
    "PNG": ("image/png", "png", "PNG"),
    "WEBP": ("image/webp", "webp", "WEBP"),
    "GIF": ("image/png", "png", "PNG"),
}
_SAVE_OPTIONS = {
    "JPEG": {"quality": JPEG_QUALITY, "optimize": True},
    "PNG": {},
    "WEBP": {"quality": JPEG_QUALITY},
}

# What Pillow's decoders raise for a file that is not as it should be.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

# EXIF's Orientation: the PIL.Image.Transpose that undoes it (Exif 2.32, 4.6.4 A).
_TRANSPOSE = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

_STRIP = 1_000_000  # pixels that are converted at a time

_limiter: RunVar[CapacityLimiter] = RunVar("fastopp photo limiter")


class PhotoTooLarge(FastOppError):
    """The picture is too large."""

    status = 413
    hint = "Make it smaller and try again."


class PhotoNotSupported(FastOppError):
    """The file is not a JPEG, PNG, WebP or GIF picture."""

    status = 415
    hint = "Save the picture as JPEG and try again."


class PhotoDamaged(FastOppError):
    """The picture is damaged or incomplete."""

    status = 422
    hint = "Send it again, or choose another one."


class PhotoEmpty(FastOppError):
    """The file is empty."""

    status = 422
    hint = "Choose a picture."


class Photo(NamedTuple):
    """A picture that is safe to store and to serve."""

    data: bytes
    content_type: str
    extension: str
    """Without its dot."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""


async def process_photo(data: bytes) -> Photo:
    """`prepare_photo` in a worker thread, one at a time in a process so that memory stays bounded."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(PHOTOS_AT_ONCE)
        _limiter.set(limiter)
    return await run_sync(prepare_photo, data, limiter=limiter)


def prepare_photo(data: bytes) -> Photo:
    """Check an uploaded picture and encode it again.

    JPEG, PNG and WebP stay what they are; a GIF becomes PNG. Of a moving picture the first frame is
    kept. The picture is turned upright as its EXIF data says, its colours are converted to sRGB, it is
    made at most 1,600 pixels wide and high, and all metadata is dropped.

    Raises
    ------
    PhotoEmpty, PhotoTooLarge (over 5 MiB, 40 million pixels, or more memory than `max_decoded_bytes`; known before
    decoding), PhotoNotSupported (another kind of file, regardless of its name), PhotoDamaged
    """
    if not data:
        raise PhotoEmpty
    if len(data) > MAX_PHOTO_BYTES:
        raise PhotoTooLarge(f"The picture has {len(data) / 2**20:.1f} MiB; {MAX_PHOTO_BYTES // 2**20} are allowed.")
    with _open(data) as image:
        content_type, extension, save_as = _FORMATS[image.format or ""]
        try:
            clean = _clean(image)
            encoded = BytesIO()
            clean.save(encoded, save_as, **_SAVE_OPTIONS[save_as])
        except _DAMAGE:
            raise PhotoDamaged from None
    return Photo(encoded.getvalue(), content_type, extension, clean.width, clean.height)


def _open(data: bytes) -> Image:
    """Read the header only."""
    # 60 ms that only an upload needs. Naming the plugin keeps Pillow from loading fifty others to find it.
    from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: PLC0415

    try:
        image = Image.open(BytesIO(data), formats=["JPEG", "PNG", "GIF", WebPImagePlugin.WebPImageFile.format])
    except UnidentifiedImageError:
        raise PhotoNotSupported from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoTooLarge(_TOO_MANY_PIXELS) from None
    except _DAMAGE:
        raise PhotoDamaged from None
    if image.width * image.height > MAX_PHOTO_PIXELS:
        image.close()
        raise PhotoTooLarge(_TOO_MANY_PIXELS)
    progressive = image.width * image.height if image.info.get("progressive") else 0
    # A JPEG is decoded at a half, a quarter or an eighth of its size where that is enough.
    image.draft(image.mode, (MAX_PHOTO_SIDE, MAX_PHOTO_SIDE))
    if _decoded_bytes(image, progressive) > max_decoded_bytes():
        image.close()
        raise PhotoTooLarge("The picture takes too much memory to decode.")
    return image


def max_decoded_bytes() -> int:
    """Return the bytes that decoding one picture may take."""
    return min(MAX_DECODED_BYTES, instance_memory() // MEMORY_SHARE)


def _decoded_bytes(image: Image, progressive: int) -> int:
    """Return the bytes that decoding takes: width x height x channels x depth, and what the decoder keeps beside it.

    Parameters
    ----------
    progressive: pixels of a progressive JPEG, of which all coefficients are kept, in 16 bits each.
    """
    pixels, channels = image.width * image.height, len(image.getbands())
    if image.format == "WEBP":  # the canvas, the one before it, and two copies on the way to Pillow
        return pixels * 4 * 4
    tiles = getattr(image, "tile", ())  # how the file's parts are encoded: only of an image of a file
    raw = str(tiles[0].args) if tiles else ""
    depth = 2 if "16" in raw or image.mode.startswith("I") else 1
    stored = 4 if channels > 1 else 1  # Pillow's own bytes a pixel
    return pixels * max(channels * depth, stored) + progressive * channels * 2


_TOO_MANY_PIXELS = f"The picture has more than {MAX_PHOTO_PIXELS // 10**6} million pixels."


def _clean(image: Image) -> Image:
    """The picture itself: decoded, small, upright, in sRGB, and nothing else."""
    if image.format not in ("JPEG", "MPO"):
        image = _reduced(image)
    image.thumbnail((MAX_PHOTO_SIDE, MAX_PHOTO_SIDE), reducing_gap=None)
    clean = _in_plain_colours(_in_srgb(_upright(image)))
    clean.info.clear()  # what an encoder would otherwise copy: comments, XMP, resolution
    return clean


def _reduced(image: Image) -> Image:
    """The picture in plain colours, at a whole fraction of its size that is still large enough.

    It is converted in strips, since another copy of all of it may be more than there is memory for.
    """
    factor = max(1, max(image.size) // MAX_PHOTO_SIDE)
    image.load()
    if factor == 1:
        return _in_plain_colours(image)
    reduced: Image | None = None
    rows = factor * max(1, _STRIP // (image.width * factor))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        strip.info = image.info  # a palette's transparency
        strip = _in_plain_colours(strip).reduce(factor)
        if reduced is None:
            reduced = strip.copy() if image.height <= rows else _canvas(strip, -(-image.height // factor))
        reduced.paste(strip, (0, top // factor))
    assert reduced is not None  # noqa: S101 - a picture has a row
    reduced.info = image.info
    reduced.format = image.format
    return reduced


def _canvas(strip: Image, height: int) -> Image:
    from PIL import Image  # noqa: PLC0415 - see _open

    return Image.new(strip.mode, (strip.width, height))


def _upright(image: Image) -> Image:
    """Turn and mirror as the camera noted; a note that cannot be read is none."""
    from PIL import ExifTags, Image  # noqa: PLC0415 - see _open

    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return image
    method = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(Image.Transpose(method))


def _in_plain_colours(image: Image) -> Image:
    """As grey, RGB or RGBA: what every encoder here takes and what resizes well."""
    if image.mode in ("L", "RGB", "RGBA"):
        image.load()
        return image
    if image.mode.startswith("I"):  # 16 bits of grey, of which converting alone would keep the low ones
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _in_srgb(image: Image) -> Image:
    """Convert from the colour profile that the picture carries; phones use a wider one than browsers assume."""
    from PIL import ImageCms  # noqa: PLC0415 - see _open

    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = image.mode if image.mode in ("RGB", "RGBA") else "RGB"
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a profile that does not fit the picture says nothing
    return converted or image
