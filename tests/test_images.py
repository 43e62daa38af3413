"""Loading and preparing images."""

import ast
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vista import jitter
from vista.images import CLIP_MEAN, CLIP_STD, ImageError, ImageTransform, load_image, same_shape


def smooth(height: int, width: int) -> np.ndarray:
    """A gradient per channel: every filter that shrinks or enlarges it should agree on it."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = (
        255 * rows / height,
        255 * columns / width,
        255 * (rows + columns) / (height + width),
    )
    return np.stack(channels, axis=-1).astype(np.uint8)


def write(path: Path, image: np.ndarray, mode: str = "RGB", **options: object) -> Path:
    Image.fromarray(image).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_pixels_are_those_of_the_file(tmp_path: Path, suffix: str) -> None:
    image = smooth(40, 60)
    loaded = load_image(write(tmp_path / f"x.{suffix}", image))
    assert loaded.dtype == np.uint8
    assert np.array_equal(loaded, image)


def test_jpeg_is_decoded_as_pillow_decodes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jpg", smooth(48, 64), quality=95)
    difference = load_image(path).astype(int) - np.asarray(Image.open(path))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "x.png", smooth(40, 60), mode)
    assert np.array_equal(load_image(path), np.asarray(Image.open(path).convert("RGB")))


def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    grey = smooth(40, 60)[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "x.png")
    assert np.array_equal(load_image(tmp_path / "x.png"), np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_orientation_is_honoured_only_on_request(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = write(tmp_path / f"x.{suffix}", smooth(40, 60), exif=exif)
    assert load_image(path).shape == (40, 60, 3)
    assert np.array_equal(load_image(path, exif=True), np.rot90(load_image(path), -1))


TURNED = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_tiff_is_turned_only_on_request(
    tmp_path: Path, orientation: int, compression: str, mode: str
) -> None:
    path, image = tmp_path / "x.tiff", Image.fromarray(smooth(40, 60)).convert(mode)
    image.save(path, tiffinfo={274: orientation}, compression=compression)
    stored = np.asarray(image.convert("RGB"))
    assert np.array_equal(load_image(path), stored)
    upright = load_image(path, exif=True)
    assert np.array_equal(upright, TURNED[orientation](stored))


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "bmp"])
def test_alpha_is_dropped_and_not_multiplied_in(tmp_path: Path, suffix: str) -> None:
    image, alpha = smooth(40, 60), smooth(40, 60)[..., :1]
    assert alpha.min() == 0 and alpha.max() > 200
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.concatenate([image, alpha], axis=2)).save(path, **options)
    assert np.array_equal(load_image(path), image)
    assert load_image(path).flags.writeable


@pytest.mark.parametrize(
    ("stated", "found", "same"),
    [
        ((480, 640), (480, 640), True),
        ((481, 640), (480, 640), True),
        ((480, 639), (480, 640), True),
        ((427, 640), (64, 96), True),  # a thumbnail
        ((480, 640), (1440, 1920), True),
        ((480, 640), (484, 640), True),
        ((480, 640), (500, 640), False),
        ((96, 192), (96, 96), False),
        ((480, 640), (640, 480), False),
    ],
)
def test_shapes_are_compared_up_to_rounding(
    stated: tuple[int, int], found: tuple[int, int], same: bool
) -> None:
    assert same_shape(stated, found) is same


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no\.jpg cannot be read: No such file"):
        load_image(tmp_path / "no.jpg")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0"]
)
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"^The image .*x\.jpg .*\.$"):
        load_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "gif"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_ends_early(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"x.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ImageError, match=r"^The image .*\.$"):
        load_image(path)


def test_a_flipped_byte_in_a_png(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png", smooth(64, 64))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match="damaged"):
        load_image(path)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises much and holds nothing."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (chunk, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [9_000, 10_000, 60_000, 2_000_000_000])
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, side: int, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(ImageError, match=r"bomb\.png is too large"):
        load_image(path)
    assert not recwarn.list


def test_the_limit_counts_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png", smooth(10, 20))
    assert load_image(path, max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ImageError, match="20 x 10 pixels, more than 199"):
        load_image(path, max_pixels=199)


def shown(transform: ImageTransform, image: np.ndarray) -> torch.Tensor:
    """What the encoder sees of an image."""
    return transform.normalised(transform(image))


SIZES = [(96, 96), (480, 640), (640, 427), (97, 95), (30, 500), (500, 96), (40, 50), (1, 1)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_numbers_are_those_of_albumentations(height: int, width: int) -> None:
    """To the last bit, for each of the 256 values too, although its steps are not called for every image."""
    jitter.Jitter()  # keeps albumentations from asking the network for its newest version
    import albumentations

    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resize = albumentations.Resize(
        96, 96, interpolation=cv2.INTER_CUBIC, area_for_downscale="image"
    )
    steps = albumentations.Compose([resize, albumentations.Normalize(CLIP_MEAN, CLIP_STD)])
    transform = ImageTransform(96)
    assert np.array_equal(shown(transform, image), steps(image=image)["image"].transpose(2, 0, 1))
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    expected = albumentations.Normalize(CLIP_MEAN, CLIP_STD)(image=values)["image"]
    found = transform.normalised(torch.from_numpy(values).permute(2, 0, 1))
    assert np.array_equal(found, expected.transpose(2, 0, 1))


def test_a_loader_process_gives_bytes() -> None:
    """A quarter of what floats are: they are normalised where the encoder is."""
    pixels = ImageTransform(32)(smooth(40, 60))
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (480, 640), (30, 500), (1, 1)])
def test_transform_gives_a_normalised_square(height: int, width: int) -> None:
    image = np.broadcast_to(np.array([10, 128, 255], dtype=np.uint8), (height, width, 3))
    pixels = shown(ImageTransform(image_size=96), np.ascontiguousarray(image))
    assert (pixels.shape, pixels.dtype, pixels.is_contiguous()) == (
        (3, 96, 96),
        torch.float32,
        True,
    )
    expected = (torch.tensor([10, 128, 255]) / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(
        CLIP_STD
    )
    assert torch.allclose(pixels, expected[:, None, None].expand_as(pixels), atol=1e-5)


def test_same_size_is_only_normalised() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    expected = (image / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    assert np.allclose(shown(ImageTransform(96), image), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 427), (64, 64)])
def test_resizing_agrees_with_pillows_bicubic_filter(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    pixels = ImageTransform(96)(image).numpy().transpose(1, 2, 0).astype(float)
    pillow = np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling.BICUBIC))
    assert (
        np.abs(pixels - pillow).mean() < 3
    )  # cv2's bicubic filter alone: 6.4 and more on the two that shrink


def test_augmentation_is_a_function_of_the_seed() -> None:
    image, transform = smooth(64, 64), ImageTransform(64, augment=True)
    first, again = transform(image, seed=3), transform(image, seed=3)
    others = [transform(image, seed=seed) for seed in range(4, 12)]
    assert torch.equal(first, again)
    assert torch.equal(first, ImageTransform(64, augment=True)(image, seed=3))
    assert len({float(other.sum()) for other in others}) > 4
    assert all(
        torch.equal(ImageTransform(64)(image, seed=s), ImageTransform(64)(image)) for s in (1, 2)
    )


def test_albumentations_is_imported_late() -> None:
    """It takes a second, and a reader of pixels alone does not need it."""
    top = ast.parse(Path(jitter.__file__).read_text()).body
    names = [
        alias.name
        for node in top
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert "numpy" in names
    assert "albumentations" not in names


def test_pillow_reads_what_the_test_writes() -> None:
    """The bombs are refused for their size, not because their header is wrong."""
    with Image.open(io.BytesIO(png_header(30, 20))) as header:
        assert header.size == (30, 20)
