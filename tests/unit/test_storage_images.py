from __future__ import annotations

import asyncio
import io
import random
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from fastopp.memory import instance_memory
from fastopp.storage import images
from fastopp.storage.images import (
    MAX_PHOTO_BYTES,
    PhotoDamaged,
    PhotoEmpty,
    PhotoNotSupported,
    PhotoTooLarge,
    prepare_photo,
    process_photo,
)
from tests.gate import only_full

RED, BLUE = (220, 20, 20), (20, 20, 220)


def halves(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    ImageDraw.Draw(image).rectangle((width // 2, 0, width, height), fill=BLUE)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def close(first: object, second: object, by: int = 25) -> bool:
    return all(abs(a - b) <= by for a, b in zip(first, second, strict=True))  # type: ignore[call-overload]


def phone_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "SECRETPHONE"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return exif


@pytest.mark.parametrize(
    ("kind", "content_type", "extension", "result"),
    [
        ("JPEG", "image/jpeg", "jpg", "JPEG"),
        ("PNG", "image/png", "png", "PNG"),
        ("WEBP", "image/webp", "webp", "WEBP"),
        ("GIF", "image/png", "png", "PNG"),
    ],
)
def test_formats(kind: str, content_type: str, extension: str, result: str) -> None:
    photo = prepare_photo(encoded(halves(), kind))
    assert (photo.content_type, photo.extension, photo.width, photo.height) == (content_type, extension, 120, 80)
    image = decoded(photo.data)
    assert image.format == result
    assert image.size == (120, 80)
    assert close(image.convert("RGB").getpixel((10, 40)), RED)
    assert close(image.convert("RGB").getpixel((110, 40)), BLUE)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = halves()
    transpose = images._TRANSPOSE.get(orientation)
    inverse = {4: 2, 2: 4}  # the two quarter turns undo each other, all else itself
    as_taken = upright if transpose is None else upright.transpose(Image.Transpose(inverse.get(transpose, transpose)))
    photo = prepare_photo(encoded(as_taken, kind, exif=phone_exif(orientation)))
    image = decoded(photo.data).convert("RGB")
    assert image.size == (photo.width, photo.height) == (120, 80)
    assert close(image.getpixel((10, 40)), RED)
    assert close(image.getpixel((110, 40)), BLUE)


def test_orientation_as_a_camera_writes_it() -> None:
    # 6: the 0th row is the visual right-hand side (Exif 2.32), so red, on the left, goes to the top.
    image = decoded(prepare_photo(encoded(halves(), exif=phone_exif(6))).data)
    assert image.size == (80, 120)
    assert close(image.getpixel((40, 10)), RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_is_dropped(kind: str) -> None:
    text = PngInfo()
    text.add_text("Comment", "SECRETCOMMENT")
    options = {
        "JPEG": {"comment": b"SECRETCOMMENT", "dpi": (72, 72), "xmp": b"<x>SECRETXMP</x>"},
        "PNG": {"pnginfo": text, "dpi": (72, 72)},
        "WEBP": {"xmp": b"<x>SECRETXMP</x>"},
    }[kind]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sent = encoded(halves(), kind, exif=phone_exif(1), icc_profile=profile, **options)
    assert b"SECRET" in sent
    stored = prepare_photo(sent).data
    assert b"SECRET" not in stored
    image = decoded(stored)
    assert not image.getexif()
    assert not set(image.info) & {"exif", "icc_profile", "xmp", "comment", "dpi", "Comment"}


def test_colours_become_srgb() -> None:
    # sRGB with red and blue taking each other's place: what is stored as red is to be seen as blue.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    for kind in ("JPEG", "PNG", "WEBP"):
        image = decoded(prepare_photo(encoded(halves(), kind, icc_profile=swapped)).data)
        assert close(image.getpixel((10, 40)), BLUE)
        assert close(image.getpixel((110, 40)), RED)


@pytest.mark.parametrize("profile", [b"nonsense", b"\x00" * 200])
def test_a_broken_profile_does_no_harm(profile: bytes) -> None:
    image = decoded(prepare_photo(encoded(halves(), icc_profile=profile)).data)
    assert close(image.getpixel((10, 40)), RED)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, and goes on
@pytest.mark.parametrize("exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"nonsense"])
def test_broken_exif_does_no_harm(exif: bytes) -> None:
    assert prepare_photo(encoded(halves(), exif=exif)).width == 120


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGBA"),
        ("GIF", "L"),
    ],
)
def test_colour_modes(kind: str, mode: str) -> None:
    source = halves(mode="I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else halves(mode=mode)
    image = decoded(prepare_photo(encoded(source, kind)).data).convert("RGB")
    left, right = halves(mode="L").getpixel((10, 40)), halves(mode="L").getpixel((110, 40))
    if mode in ("CMYK", "P", "RGBA"):
        assert close(image.getpixel((10, 40)), RED, 60)
    elif mode != "1":
        assert close(image.getpixel((10, 40)), (left,) * 3)
        assert close(image.getpixel((110, 40)), (right,) * 3)


def test_transparency_is_kept() -> None:
    clear = Image.new("RGBA", (50, 50), (0, 255, 0, 0))
    assert decoded(prepare_photo(encoded(clear, "PNG")).data).getpixel((0, 0))[3] == 0
    palette = clear.quantize()
    assert decoded(prepare_photo(encoded(palette, "PNG", transparency=0)).data).convert("RGBA").getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame_is_kept(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, BLUE, (0, 0, 0))]
    image = decoded(prepare_photo(encoded(frames[0], kind, save_all=True, append_images=frames[1:])).data)
    assert getattr(image, "n_frames", 1) == 1
    assert close(image.convert("RGB").getpixel((5, 5)), RED)


def test_a_phones_picture_of_several() -> None:
    sent = encoded(halves(), "MPO", save_all=True, append_images=[halves()])
    assert decoded(sent).format == "MPO"
    photo = prepare_photo(sent)
    assert decoded(photo.data).format == "JPEG"
    assert photo.content_type == "image/jpeg"


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [("JPEG", (4000, 3000), (1600, 1200)), ("PNG", (1000, 2000), (800, 1600)), ("WEBP", (1601, 10), (1600, 10))],
)
def test_big_pictures_are_made_smaller(kind: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    photo = prepare_photo(encoded(halves(*size), kind))
    assert (photo.width, photo.height) == expected
    assert decoded(photo.data).size == expected


def test_a_line_stays_a_picture() -> None:
    photo = prepare_photo(encoded(halves(60_000, 1), "PNG"))
    assert (photo.width, photo.height) == (1600, 1)


def test_small_pictures_stay_as_they_are() -> None:
    assert prepare_photo(encoded(halves(1, 1))).width == 1


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever is in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [6325, 9500, 12000, 20000, 65000, 2**31 - 1])
def test_too_many_pixels_are_refused_before_they_are_decoded(side: int) -> None:
    with pytest.raises(PhotoTooLarge, match="40 million"):
        prepare_photo(png(side, side, zlib.compress(bytes(1000))))


def test_forty_million_pixels_are_allowed() -> None:
    with Image.new("L", (8000, 5000), 7) as image:
        assert prepare_photo(encoded(image, "PNG")).width == 1600


def test_too_many_bytes() -> None:
    with pytest.raises(PhotoTooLarge, match=r"5\.5 MiB; 5 are allowed"):
        prepare_photo(encoded(halves()) + bytes(5 * 2**20 + 2**19))
    assert prepare_photo(encoded(halves()).ljust(MAX_PHOTO_BYTES, b"\0")).width == 120


def test_empty() -> None:
    with pytest.raises(PhotoEmpty) as raised:
        prepare_photo(b"")
    assert raised.value.status == 422


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><script>alert(1)</script>",
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"GIF, said the file",
        b"%PDF-1.7",
        b"PK\x03\x04 a zip",
        b"\x00",
        encoded(halves(), "BMP"),
        encoded(halves(), "TIFF"),
        encoded(halves(mode="L"), "PPM"),
        encoded(halves(), "ICO"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PhotoNotSupported) as raised:
        prepare_photo(data)
    assert raised.value.status == 415
    assert "JPEG" in str(raised.value)


def test_what_hides_behind_a_picture_is_dropped() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("payload.html", "<script>alert('PAYLOAD')</script>")
    sent = encoded(halves(), comment=b"<script>PAYLOAD</script>") + archive.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(sent))
    stored = prepare_photo(sent).data
    assert not zipfile.is_zipfile(io.BytesIO(stored))
    assert b"PAYLOAD" not in stored
    assert b"payload" not in stored


def noise(kind: str) -> bytes:
    generator = random.Random(5)
    return encoded(Image.frombytes("RGB", (200, 150), generator.randbytes(200 * 150 * 3)), kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_truncated(kind: str) -> None:
    data = noise(kind)
    for part in (4, 2, 1.3):
        with pytest.raises((PhotoDamaged, PhotoNotSupported)):
            prepare_photo(data[: int(len(data) / part)])
    with pytest.raises(PhotoDamaged) as raised:
        prepare_photo(data[: len(data) * 2 // 3])
    assert raised.value.status == 422


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_corruption_never_crashes(kind: str) -> None:
    original, generator = noise(kind), random.Random(7)
    for _ in range(150):
        data = bytearray(original)
        for _ in range(generator.choice((1, 3, 30))):
            data[generator.randrange(generator.choice((40, len(data))))] = generator.randrange(256)
        try:
            photo = prepare_photo(bytes(data))
        except (PhotoDamaged, PhotoNotSupported, PhotoTooLarge):
            continue
        assert decoded(photo.data).size == (photo.width, photo.height)


async def test_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = 0, 0, threading.Lock()
    real = images.prepare_photo

    def counted(data: bytes) -> images.Photo:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        photo = real(data)
        with lock:
            running -= 1
        return photo

    monkeypatch.setattr(images, "prepare_photo", counted)
    photos = await asyncio.gather(*(process_photo(encoded(halves(2000, 1500))) for _ in range(8)))
    assert len(photos) == 8
    assert most == 1


def deep_png(side: int) -> bytes:
    """A PNG of 16-bit RGBA, all alike."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer = zlib.compressobj()
    body = b"".join(packer.compress(bytes(1 + side * 8)) for _ in range(side)) + packer.flush()
    header = side.to_bytes(4, "big") * 2 + bytes([16, 6, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


MEMORY = 512 * 2**20

GROWTH = """
import resource, sys
from pathlib import Path
from fastopp.storage import images

images.instance_memory = lambda: int(sys.argv[2])
images.prepare_photo(Path(sys.argv[3]).read_bytes())  # what is imported for it is no picture's fault
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    images.prepare_photo(Path(sys.argv[1]).read_bytes())
except images.PhotoTooLarge:
    print("refused", end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("RGBA PNG", False), ("progressive JPEG", True), ("small WEBP", False), ("GIF", False),
        *only_full(
            ("16-bit PNG", True), ("palette PNG", False), ("grey PNG", False), ("JPEG", False), ("WEBP", True)
        ),
    ],
)  # fmt: skip
def test_a_picture_takes_a_quarter_of_the_memory_at_most(name: str, refused: bool, tmp_path: Path) -> None:
    sent, small = tmp_path / "sent", tmp_path / "small"
    small.write_bytes(encoded(halves(), name.split()[-1], **({"progressive": True} if "JPEG" in name else {})))
    if name == "16-bit PNG":
        sent.write_bytes(deep_png(6300))
    else:
        modes = {"RGBA PNG": "RGBA", "palette PNG": "P", "grey PNG": "I;16", "GIF": "P"}
        size = (2400, 1800) if name.startswith("small") else (7000, 4700)
        with Image.new(modes.get(name, "RGB"), size) as image:
            options = {"progressive": True, "subsampling": 0} if name.startswith("progressive") else {}
            sent.write_bytes(encoded(image, name.split()[-1], **options))
    assert sent.stat().st_size < MAX_PHOTO_BYTES
    command = [sys.executable, "-c", GROWTH, str(sent), str(MEMORY), str(small)]
    *said, growth = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert said == ["refused"] * refused
    # What is made of it, at most 1,600 pixels wide and high, and its copies come on top.
    assert int(growth) <= (2 * 2**20 if refused else MEMORY // 4 + 40 * 2**20)


def test_the_memory_of_an_instance(tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "unlimited"
    limit.write_text("268435456\n")
    none.write_text("max\n")
    assert instance_memory((limit, none)) == 256 * 2**20
    assert instance_memory((none, tmp_path / "missing")) == instance_memory(()) > 0


@pytest.mark.parametrize("mode", ["RGB", "P", *only_full("RGBA", "LA", "I;16", "1")])
@pytest.mark.parametrize("size", [(3333, 5001), (4801, 1)])
def test_strips_leave_no_seams(mode: str, size: tuple[int, int]) -> None:
    source = halves(*size)
    if mode == "I;16":
        converted = source.convert("I").point(lambda v: v * 257).convert("I;16")
    else:
        converted = source.quantize() if mode == "P" else source.convert(mode)
    photo = prepare_photo(encoded(converted, "PNG"))
    image = decoded(photo.data).convert("L")
    assert max(image.size) == 1600
    left = image.crop((0, 0, image.width // 2 - 4, image.height)).getextrema()
    right = image.crop((image.width // 2 + 4, 0, image.width, image.height)).getextrema()
    if mode != "1":
        assert left[1] - left[0] <= 3
        assert right[1] - right[0] <= 3
