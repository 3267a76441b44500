import struct
import subprocess
import sys
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from PIL import Image

from genreclf.errors import GenreclfError
from genreclf.frontend import picture
from genreclf.frontend.band_axis import NYQUIST_HZ, FigureAxis
from genreclf.frontend.clip import PICTURE_SUFFIXES, is_picture
from genreclf.frontend.colour_maps import WRITTEN, written_table
from genreclf.frontend.picture import MAX_COLUMNS, read_picture, write_picture

BANDS = FigureAxis("bands", NYQUIST_HZ)


def music_like(columns: int = 60) -> np.ndarray:
    """Smooth levels (128, columns) with all values from 0 to 255. Top and bottom differ, and left and right."""
    rows, cols = np.mgrid[0:128, 0:columns]
    return np.rint(255 * (1 - rows / 127) * (0.2 + 0.8 * cols / (columns - 1))).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def png_of_size(path: Path, width: int, height: int) -> Path:
    """Writes a PNG that claims a size and contains almost nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


def refused(path: Path) -> str:
    with pytest.raises(GenreclfError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


levels_of_any_kind = st.integers(1, 6).flatmap(lambda columns: arrays(np.uint8, (128, columns)))


@settings(max_examples=60, deadline=None)
@given(levels=levels_of_any_kind, colours=st.sampled_from(["grey", *WRITTEN]))
def test_writing_and_reading_loses_nothing(tmp_path_factory, levels, colours):
    path = tmp_path_factory.mktemp("picture") / "any.png"
    write_picture(path, levels, colours)
    np.testing.assert_array_equal(read_picture(path).levels, levels)


@pytest.mark.parametrize("colours", ["grey", *WRITTEN])
def test_every_level_comes_back_alone_and_with_all_others(tmp_path, colours):
    path = tmp_path / "levels.png"
    for level in range(256):
        levels = np.full((128, 1), level, np.uint8)
        write_picture(path, levels, colours)
        assert (read_picture(path).levels == level).all()
    write_picture(path, np.arange(256, dtype=np.uint8).reshape(128, 2), colours)
    assert read_picture(path).colours == colours


def test_on_disk_the_low_band_is_at_the_bottom(tmp_path):
    levels = np.zeros((128, 3), np.uint8)
    levels[0, 2] = 200
    write_picture(tmp_path / "low.png", levels)
    on_disk = np.asarray(Image.open(tmp_path / "low.png"))
    assert on_disk[127, 2] == 200
    assert np.count_nonzero(on_disk) == 1


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("rounding", [np.floor, np.rint])  # what imshow and pcolormesh do
@pytest.mark.parametrize("alpha", [False, True])
def test_matplotlibs_colours_are_inverted_exactly(tmp_path, name, rounding, alpha):
    table = rounding(matplotlib.colormaps[name](np.arange(256)) * 255).astype(np.uint8)
    levels = music_like()
    pixels = table[levels[::-1]]
    result = read_picture(saved(tmp_path / "map.png", pixels if alpha else pixels[..., :3]))
    assert result.colours == name
    same_as_before = np.flatnonzero((table[1:] == table[:-1]).all(axis=1)) + 1  # no reader can distinguish these two
    assert len(same_as_before) == (2 if name == "viridis" else 0)
    expected = np.where(np.isin(levels, same_as_before), levels - 1, levels)
    np.testing.assert_array_equal(result.levels, expected)


def test_what_imshow_draws_is_inverted(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (128, 300), dtype=np.uint8)
    figure = Figure(figsize=(3, 1.28), dpi=100)
    axes = figure.add_axes([0, 0, 1, 1])
    axes.imshow(levels, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=255)
    axes.axis("off")
    figure.savefig(tmp_path / "drawn.png")
    result = read_picture(tmp_path / "drawn.png")
    assert result.colours == "magma"
    np.testing.assert_array_equal(result.levels, levels)


def test_a_pixel_off_the_map_costs_no_other_pixel(tmp_path):
    path = tmp_path / "off.png"
    levels = music_like()
    write_picture(path, levels, "magma")
    pixels = np.asarray(Image.open(path).convert("RGB")).copy()
    pixels[5, 7] = (10, 200, 30)
    result = read_picture(saved(path, pixels))
    assert result.colours == "magma"
    wrong = np.abs(result.levels[::-1].astype(int) - levels[::-1]) > 1  # maps of both roundings are compared
    assert np.argwhere(wrong).tolist() in ([], [[5, 7]])


def test_jpeg_is_read_within_a_few_levels(tmp_path):
    levels = music_like()
    grey = Image.fromarray(np.ascontiguousarray(levels[::-1]))
    for image, quality in ((grey, 90), (grey.convert("RGB"), 90), (grey.convert("RGB").convert("CMYK"), 95)):
        image.save(tmp_path / "grey.jpg", quality=quality)
        assert np.abs(read_picture(tmp_path / "grey.jpg").levels.astype(int) - levels).max() <= 6, image.mode
    write_picture(tmp_path / "map.png", levels, "inferno")
    Image.open(tmp_path / "map.png").convert("RGB").save(tmp_path / "map.jpg", quality=90)
    for name, colours, most in (("grey", "grey", 6), ("map", "inferno", 4)):
        result = read_picture(tmp_path / f"{name}.jpg")
        assert result.colours == colours
        assert np.abs(result.levels.astype(int) - levels).mean() < most


@pytest.mark.parametrize("name", ["grey", "plasma"])
def test_heights_that_are_multiples_of_128_lose_nothing(tmp_path, name):
    levels = music_like()
    write_picture(tmp_path / "a.png", levels, name)
    tall = np.repeat(np.asarray(Image.open(tmp_path / "a.png")), 3, axis=0)
    result = read_picture(saved(tmp_path / "tall.png", tall))
    assert result.colours == name
    np.testing.assert_array_equal(result.levels, levels)


@pytest.mark.parametrize("height", [200, 288, 301])
def test_other_heights_are_averaged_along_frequency(tmp_path, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, 9), dtype=np.uint8)
    band_of_row = np.ceil((np.arange(height) + 0.5) * 128 / height).astype(int) - 1  # the band with the row's centre
    reference = np.stack([pixels[band_of_row == band].mean(axis=0) for band in range(128)])
    result = read_picture(saved(tmp_path / "tall.png", pixels), BANDS)
    assert np.abs(result.levels[::-1] - reference).max() <= 0.51


def test_a_drawn_height_of_288_is_close_to_the_levels(tmp_path):
    levels = music_like()
    drawn = levels[::-1][np.arange(288) * 128 // 288]
    result = read_picture(saved(tmp_path / "drawn.png", drawn))
    assert np.abs(result.levels.astype(int) - levels).max() <= 2


def test_a_low_picture_is_stretched(tmp_path):
    result = read_picture(saved(tmp_path / "low.png", np.array([[10], [200]], np.uint8)))
    np.testing.assert_array_equal(result.levels[:, 0], [200] * 64 + [10] * 64)


def test_other_kinds_of_grey(tmp_path):
    levels = music_like()
    upright = levels[::-1]
    image = Image.fromarray(np.ascontiguousarray(upright))
    saved(tmp_path / "16-bit.png", np.minimum(upright * np.uint16(257), 65_400) + np.uint16(100))
    image.convert("P").save(tmp_path / "palette.png")
    image.convert("LA").save(tmp_path / "grey-alpha.png")
    image.convert("RGBA").save(tmp_path / "rgba.png")
    for name in ("16-bit", "palette", "grey-alpha", "rgba"):
        result = read_picture(tmp_path / f"{name}.png")
        assert result.colours == "grey"
        np.testing.assert_array_equal(result.levels, levels, err_msg=name)
    image.point(lambda v: 255 * (v > 99), "1").save(tmp_path / "1-bit.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "1-bit.png").levels, 255 * (levels > 99))


def test_a_palette_of_a_colour_map(tmp_path):
    levels = music_like()
    write_picture(tmp_path / "a.png", levels, "viridis")
    indexed = Image.fromarray(np.ascontiguousarray(levels[::-1])).convert("P")
    table = written_table("viridis")
    indexed.putpalette(table.tobytes())
    indexed.save(tmp_path / "palette.png")
    result = read_picture(tmp_path / "palette.png")
    assert result.colours == "viridis"
    np.testing.assert_array_equal(result.levels, levels)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(("orientation", "degrees"), [(3, 180), (6, 90), (8, 270)])
def test_the_orientation_that_a_file_tells(tmp_path, orientation, degrees, suffix):
    levels, exif = music_like(), Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(np.ascontiguousarray(levels[::-1])).rotate(degrees, expand=True)
    turned.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    assert np.abs(read_picture(tmp_path / f"a.{suffix}").levels.astype(int) - levels).max() <= 6


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_refused(tmp_path, mode):
    image = Image.fromarray(music_like()).convert(mode)
    image.putalpha(254)
    image.save(tmp_path / "glass.png")
    assert "transparent" in refused(tmp_path / "glass.png")


@pytest.mark.parametrize(("width", "height"), [
    (MAX_COLUMNS + 1, 1),
    (10_000, 4_001),
    (20_000, 10_000),  # above Pillow's own guard
])  # fmt: skip
def test_sizes_are_refused_before_decoding(tmp_path, width, height):
    message = refused(png_of_size(tmp_path / "bomb.png", width, height))
    assert "40,000,000 pixels" in message


def test_the_size_of_the_file_is_bounded(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as handle:
        handle.truncate(picture.MAX_BYTES + 1)  # a sparse file, which takes no space
    assert "larger than 0.25 GiB" in refused(path)


@pytest.mark.parametrize(("kind", "options"), [
    ("gif", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True}),
    ("gif", {"save_all": True, "append_images": [Image.new("L", (60, 128))]}),
    ("png", {"save_all": True, "append_images": [Image.new("L", (60, 128))]}),
])  # fmt: skip
def test_other_formats_are_read_without_error_and_the_first_picture_of_animations(tmp_path, kind, options):
    path = saved(tmp_path / "a.png", music_like()[::-1], format=kind, **options)  # whatever the suffix is
    assert np.array_equal(read_picture(path).levels, music_like())
    assert is_picture(path.read_bytes())


@pytest.mark.parametrize(("scale", "kind"), [(257, np.uint16), (257, np.int32), (1, np.float32), (100_000, np.int32)])
def test_grey_of_16_bits_is_read_and_numbers_of_an_unknown_range_are_refused(tmp_path, scale, kind):
    path = saved(tmp_path / "a.tif", (music_like()[::-1].astype(np.int64) * scale).astype(kind))
    if scale == 257:
        assert np.array_equal(read_picture(path).levels, music_like())
    else:
        assert "save it as a grey PNG" in refused(path)


def test_arrays_of_few_levels_are_noted_and_those_of_two_refused(tmp_path):
    assert "in only 16 colours" in read_picture(saved(tmp_path / "a.png", music_like(30)[::-1] & 0xF0)).note
    Image.fromarray(music_like()[::-1]).convert("1").save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png").unsuitable == "no mel spectrogram: only two levels"


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("no picture at all\n" * 50)
    assert "save it as PNG" in refused(tmp_path / "text.png")
    (tmp_path / "empty.jpg").touch()
    assert refused(tmp_path / "empty.jpg").endswith(": empty; copy it again")


def test_missing_file_and_folder_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "missing.png")
    assert "not a regular file" in refused(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_truncated_pictures_are_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (128, 50), dtype=np.uint8)
    content = saved(tmp_path / f"cut{suffix}", noise).read_bytes()
    for length in range(4, len(content) * 9 // 10, len(content) // 40):
        (tmp_path / f"cut{suffix}").write_bytes(content[:length])
        refused(tmp_path / f"cut{suffix}")


@settings(max_examples=100, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), suffix=st.sampled_from(PICTURE_SUFFIXES))
def test_a_damaged_picture_is_read_or_refused(tmp_path_factory, where, byte, suffix):
    path = tmp_path_factory.mktemp("picture") / f"hurt{suffix}"
    content = bytearray(saved(path, music_like(8)).read_bytes())
    content[int(where * len(content))] = byte
    path.write_bytes(content)
    try:
        assert read_picture(path).levels.shape[0] == 128
    except GenreclfError as error:
        assert "\n" not in str(error)


def test_writing_refuses_what_cannot_be_read_back(tmp_path):
    levels = music_like()
    with pytest.raises(GenreclfError, match="unknown colours 'jet'; choose one of grey, magma"):
        write_picture(tmp_path / "a.png", levels, "jet")
    with pytest.raises(GenreclfError, match="cannot be written"):
        write_picture(tmp_path / "missing" / "a.png", levels)
    with pytest.raises(GenreclfError, match="columns"):
        write_picture(tmp_path / "a.png", np.zeros((128, MAX_COLUMNS + 1), np.uint8))
    for wrong in (levels.astype(float), levels[:100], levels[:, :0]):
        with pytest.raises(ValueError, match="uint8"):
            write_picture(tmp_path / "a.png", wrong)
    assert not (tmp_path / "a.png").exists()


def test_colours_are_read_without_matplotlib(tmp_path):
    write_picture(tmp_path / "magma.png", music_like(), "magma")
    code = """
import sys
from pathlib import Path
from genreclf.frontend.picture import read_picture
print(read_picture(Path(sys.argv[1])).colours, "matplotlib" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "magma.png")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["magma", "False"]
