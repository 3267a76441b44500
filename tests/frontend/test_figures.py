"""Reading figures that matplotlib draws from known levels of music."""

import os
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import style as styles
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import imsave
from PIL import Image, ImageDraw

from genreclf.data.demo import render
from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import KINDS, NYQUIST_HZ, FigureAxis, find_axis
from genreclf.frontend.colour_maps import _tables, nearest
from genreclf.frontend.drawn_over import filled
from genreclf.frontend.log_mel import band_of, hertz_of_mel, log_mel, mel_of_hertz
from genreclf.frontend.picture import read_picture
from genreclf.frontend.picture_content import upright

# Levels of 255: a frame begins within a pixel, so that single rows next to a band's edge count for its neighbour.
A_ROW_OFF = 1.5
TWO_LEVELS = 0.02  # jet and viridis have levels of one colour
FIGURES = Path(os.environ.get("GENRECLF_FIGURES", ""))


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """(128, 300) levels of demo music."""
    return log_mel(render("shuffle", 0, 0, 8.0).astype(np.float32))[:, :300]


def plotted(levels: np.ndarray, cmap: str = "magma", bar: bool = False, size=(6.4, 4.8), **options):
    """Returns a figure that shows levels, with a colour bar or without, and its axes, with options such as a title."""
    figure = Figure(size)
    axes = figure.add_subplot(**options)
    mesh = axes.pcolormesh(levels, cmap=cmap, vmin=0, vmax=255)
    if bar:
        figure.colorbar(mesh, format="%+2.0f dB")
    return figure, axes


def drawn(path: Path, levels: np.ndarray, heights=None, size=(6.4, 4.8), framed=True, bar=False, **options) -> Path:
    """Draws levels as cells between `heights` on the axis, in a figure with axes, or filling the figure."""
    figure = Figure(figsize=size, dpi=100)
    axes = figure.add_subplot() if framed else figure.add_axes((0, 0, 1, 1))
    heights = np.arange(len(levels) + 1) if heights is None else heights
    mesh = axes.pcolormesh(
        np.arange(levels.shape[1] + 1), heights, levels, vmin=0, vmax=255, **{"cmap": "magma", **options}
    )
    if bar:
        figure.colorbar(mesh)
        axes.set(title="Mel spectrogram", xlabel="Time", ylabel="Hz")
    if not framed:
        axes.axis("off")
    figure.savefig(path)
    return path


def mean_error(path: Path, levels: np.ndarray, axis: FigureAxis | None = None) -> float:
    """Returns the mean difference of the read levels from the drawn ones. The frame may hide one or two columns."""
    picture = read_picture(path, axis) if axis else read_picture(path)
    assert not picture.unsuitable
    columns = picture.levels.shape[1]
    place = (np.arange(columns) + 0.5) * levels.shape[1] / columns
    shown = np.clip(place[:, None].astype(int) + np.arange(-2, 3), 0, levels.shape[1] - 1)  # (columns, 5)
    error = np.abs(picture.levels.astype(int)[..., None] - levels[:, shown]).mean(axis=0)  # (columns, 5)
    return float(np.mean(error.min(axis=1)))


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("cmap", ["magma", "viridis", "coolwarm", "jet", "gray"])
def test_levels_come_back_from_figures(tmp_path, music, cmap, framed):
    assert mean_error(drawn(tmp_path / "a.png", music, cmap=cmap, framed=framed), music) <= (
        A_ROW_OFF if framed else TWO_LEVELS
    )


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("cmap", ["magma", "gray_r"])
def test_a_figure_that_is_cut_at_its_labels(tmp_path, music, cmap, style):
    with styles.context(style):
        figure, _ = plotted(music, cmap, size=(8, 4))
    figure.savefig(tmp_path / "a.png", bbox_inches="tight", pad_inches=0)
    # Half a line of the frame is left at the upper and right edges.
    assert mean_error(tmp_path / "a.png", music) < 2 * A_ROW_OFF


@pytest.mark.parametrize("cmap", ["magma", "gray", "gray_r"])
def test_silent_edges_without_a_border_stay(tmp_path, music, cmap):
    levels = (music * np.clip(np.arange(300) / 60 - 0.3, 0, 1)).astype(np.uint8)
    levels[100:] = 0
    path = drawn(tmp_path / "a.png", levels, cmap=cmap, framed=False)
    assert mean_error(path, levels) <= TWO_LEVELS


@pytest.mark.parametrize(("cmap", "bar", "name"), [
    ("magma_r", True, "magma reversed"),
    ("gray_r", True, "grey reversed"),
    ("Greys", True, "Grays"),
    ("Greys_r", True, "Grays reversed"),
    ("magma", False, "magma upside down"),
])  # fmt: skip
def test_maps_that_were_turned_and_uneven_greys(tmp_path, music, cmap, bar, name):
    path = drawn(tmp_path / "a.png", music if bar else music[::-1], cmap=cmap, bar=bar)
    assert mean_error(path, music) < A_ROW_OFF
    assert read_picture(path).note == f"figure: {name}, bands to 11,025 Hz, assumed: Slaney's scale, 80 dB"


def test_a_transparent_border_and_a_coloured_one(tmp_path, music):
    pixels = np.asarray(Image.open(drawn(tmp_path / "a.png", music, framed=False)).convert("RGBA"))
    for name, colour in (("clear", (0, 0, 0, 0)), ("blue", (90, 120, 230, 255))):
        canvas = Image.new("RGBA", (pixels.shape[1] + 60, pixels.shape[0] + 50), colour)
        canvas.paste(Image.fromarray(pixels), (40, 20))
        canvas.save(tmp_path / f"{name}.png")
        assert mean_error(tmp_path / f"{name}.png", music) < 0.1


def test_jpeg(tmp_path, music):
    Image.open(drawn(tmp_path / "a.png", music, bar=True)).convert("RGB").save(tmp_path / "a.jpg", quality=90)
    assert mean_error(tmp_path / "a.jpg", music) < 8


def mel_figure(levels: np.ndarray) -> Figure:
    """A figure with a mel axis as drawn by librosa.display, and a title, but without a colour bar."""
    centres = hertz_of_mel(np.linspace(0, mel_of_hertz(NYQUIST_HZ), 128))
    middle = (centres[1:] + centres[:-1]) / 2
    edges = np.concatenate([[-middle[0]], middle, [2 * centres[-1] - middle[-1]]])
    figure = Figure(figsize=(6, 4), dpi=100)
    axes = figure.add_subplot(title="Mel spectrogram")
    axes.pcolormesh(np.arange(levels.shape[1] + 1), edges, levels, cmap="magma", vmin=0, vmax=255)
    axes.set_yscale("symlog", linthresh=1000.0, base=2)
    axes.set_ylim(0, NYQUIST_HZ)
    return figure


def test_a_mel_axis_is_seen(tmp_path, music):
    figure = mel_figure(music)
    figure.savefig(tmp_path / "a.png")
    Image.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "a.jpg", quality=40)
    figure.savefig(tmp_path / "tight.png", bbox_inches="tight")
    figure.axes[0].autoscale()  # the outer cells whole
    figure.colorbar(figure.axes[0].collections[0])
    figure.savefig(tmp_path / "bar.png")
    for name, most in (("a.png", A_ROW_OFF), ("a.jpg", 8), ("tight.png", A_ROW_OFF), ("bar.png", A_ROW_OFF)):
        assert "mel to 11,025 Hz" in read_picture(tmp_path / name).note, name
        assert mean_error(tmp_path / name, music) < most, name
    figure.axes[0].set_ylim(0, 4_096)  # a part
    figure.savefig(tmp_path / "part.png")
    shown = hertz_of_mel(np.linspace(0, mel_of_hertz(NYQUIST_HZ), 128)) <= 4_096
    assert "mel to 4,096 Hz, assumed: 80 dB" in read_picture(tmp_path / "part.png").note
    assert mean_error(tmp_path / "part.png", np.where(shown[:, None], music, 0)) < A_ROW_OFF
    figure.axes[0].set_ylim(128, 8_192)
    figure.savefig(tmp_path / "part.png")
    assert "assumed: mel" in read_picture(tmp_path / "part.png").note


def test_the_note_gives_an_unusual_number_of_bands(tmp_path, music):
    drawn(tmp_path / "a.png", music[::2])
    assert "magma, 64 bands to 11,025 Hz" in read_picture(tmp_path / "a.png").note


def test_an_axis_is_taken_as_said_and_refused_if_unknown():
    levels = np.random.default_rng(0).integers(0, 256, (64, 50), np.uint8)
    assert find_axis(levels, FigureAxis("log", 8_000.0)).kind == "log"
    for wrong in (("chroma", 8_000.0), ("mel", 3.0), ("mel", float("nan"))):
        with pytest.raises(GenreclfError, match="figure"):
            FigureAxis(*wrong)


def test_the_packaged_maps_are_matplotlibs():
    assert len(_tables()) >= 80
    for name, tables in _tables().items():
        colours = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
        np.testing.assert_array_equal(tables, [colours.astype(np.uint8), np.rint(colours).astype(np.uint8)], name)


def chroma_like(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 300)).astype(np.uint8)


def test_what_is_no_mel_spectrogram_is_told(tmp_path):
    rng = np.random.default_rng(0)
    drawn(tmp_path / "chroma.png", chroma_like(rng), bar=True)
    noise = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
    Image.fromarray(noise[rng.integers(0, 5, (20, 20))]).resize((300, 300)).save(tmp_path / "cover.png")
    waveform(Figure().add_subplot(), rng).figure.savefig(tmp_path / "waveform.png")
    for name in ("chroma", "cover", "waveform"):
        picture = read_picture(tmp_path / f"{name}.png")
        assert picture.unsuitable.startswith("no mel spectrogram: ") and not picture.note, name


def waveform(axes, rng: np.random.Generator):
    axes.plot(rng.normal(size=4_000))
    return axes


def stacked(path: Path, plots: list, **options) -> Path:
    """Draws a figure with plots one above the other: levels, or None for a waveform."""
    figure, rng = Figure(figsize=(8, 7)), np.random.default_rng(0)
    for axes, levels in zip(figure.subplots(len(plots), 1, **options), plots, strict=True):
        if levels is None:
            waveform(axes, rng)
        else:
            axes.pcolormesh(levels, cmap="magma", vmin=0, vmax=255)
    figure.savefig(path)
    return path


@pytest.mark.parametrize(("others", "ratios"), [((None,), (1, 1)), ((None,), (1, 3)), ((None, "chroma"), (1, 1, 1))])
def test_of_several_plots_the_spectrogram_is_read(tmp_path, music, others, ratios):
    chroma = chroma_like(np.random.default_rng(0))
    plots = [chroma if one else None for one in others] + [music]
    path = stacked(tmp_path / "a.png", plots, height_ratios=ratios)
    assert mean_error(path, music) < A_ROW_OFF
    assert f"plot {len(plots)} of {len(plots)}" in read_picture(path).note


def test_of_both_channels_the_first_is_read_and_different_songs_are_refused(tmp_path, music):
    right = np.maximum(music.astype(int) - 20 + np.random.default_rng(0).integers(0, 9, music.shape), 0)
    assert mean_error(stacked(tmp_path / "a.png", [music, right]), music) < A_ROW_OFF
    assert "plot 1 of 2" in read_picture(tmp_path / "a.png").note
    other = log_mel(render("bossa", 3, 0, 8.0).astype(np.float32))[:, :300]
    picture = read_picture(stacked(tmp_path / "b.png", [music, other]))
    assert "2 spectrograms of different sound" in picture.unsuitable and not picture.note


def test_channels_one_above_the_other_in_one_plot(tmp_path, music):
    path = drawn(tmp_path / "a.png", np.vstack([music, np.maximum(music, 20) - 20]))
    assert mean_error(path, music) < 2 * A_ROW_OFF
    assert "the lower of two channels" in read_picture(path).note


def kaggle_figure(index: np.ndarray) -> np.ndarray:
    """Draws colour numbers as in `images_original`, by the rule for each pixel: (128, frames) -> (288, 432, 3)."""
    magma = np.rint(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255)
    bands = ((252 - np.arange(36, 252)) * 128 / 217.44).astype(int)
    frames = np.ceil((np.arange(55, 389) - 53) * index.shape[1] / 334.8 - 0.0085).astype(int) - 1
    picture = np.full((288, 432, 3), 255.0)
    picture[35:253, 54:390] = 51
    picture[36:252, 55:389] = magma[index[bands][:, np.minimum(frames, index.shape[1] - 1)]]
    picture[:, 388][36:252] *= 0.9  # blended with the frame
    return np.rint(picture).astype(np.uint8)


def test_kaggles_figures_are_read_without_error(tmp_path):
    index = np.random.default_rng(0).integers(0, 256, (128, 1293))
    Image.fromarray(kaggle_figure(index)).convert("RGBA").save(tmp_path / "blues00000.png")
    picture = read_picture(tmp_path / "blues00000.png")
    frames = np.ceil((np.arange(55, 388) - 53) * 1293 / 334.8 - 0.0085).astype(int) - 1
    expected = np.rint(127.5 + 127.5 * (index[:, frames] + 0.5) / 256)  # the upper 40 of 80 dB
    np.testing.assert_array_equal(picture.levels, expected)
    assert not picture.unsuitable
    for box in ((54, 35, 390, 253), (54, 35, 389, 252)):  # as people cut them
        Image.open(tmp_path / "blues00000.png").crop(box).save(tmp_path / "cut.png")
        np.testing.assert_array_equal(read_picture(tmp_path / "cut.png").levels, expected)


def test_real_figures():
    if not FIGURES.is_dir():
        pytest.skip("GENRECLF_FIGURES names no folder of real figures")
    for path in sorted((FIGURES / "kaggle").glob("*/*.png")):
        assert read_picture(path).levels.shape == (128, 333)
    for path in sorted((FIGURES / "others").glob("*/demo_*.png")):
        assert bool(read_picture(path).unsuitable) == ("mel" not in path.name)


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("title", ["Mel spectrogram", ""])
@pytest.mark.parametrize("cmap", ["magma", "gray_r"])
def test_a_plot_without_axes_that_is_cut_at_what_stands_beside_it(tmp_path, music, cmap, title, bar):
    figure, axes = plotted(music, cmap, bar, title=title)
    axes.axis("off")
    figure.savefig(tmp_path / "a.png", bbox_inches="tight", pad_inches=0)
    assert mean_error(tmp_path / "a.png", music) < A_ROW_OFF


def test_loud_music_below_a_band_limit_is_not_taken_for_a_plot_below_a_title(tmp_path, music):
    levels = np.vstack([np.maximum(music[:64], 90), np.zeros_like(music[:64])])
    levels[100, 150:] = 40  # a whistle
    path = drawn(tmp_path / "a.png", levels, framed=False)
    assert mean_error(path, levels) <= TWO_LEVELS


@pytest.mark.parametrize(("cmap", "least", "most"), [("Accent", 3, 10), ("tab10", 3, 8), ("tab20", 1.5, 5)])
def test_lists_of_colours_are_read_as_their_middle_levels_and_the_note_says_so(tmp_path, music, cmap, least, most):
    count = matplotlib.colormaps[cmap].N
    picture = read_picture(drawn(tmp_path / "a.png", music, cmap=cmap, framed=False))
    assert len(np.unique(picture.levels)) <= count
    assert f"{cmap} in only {count} colours" in picture.note
    assert least < mean_error(tmp_path / "a.png", music) < most  # a step of 20 colours is 13 levels


def test_a_map_whose_colours_are_a_part_of_a_usual_one_is_recognised_in_jpeg(tmp_path, music):
    picture = read_picture(drawn(tmp_path / "a.jpg", music, cmap="autumn", framed=False))  # the last third of jet
    assert picture.colours == "autumn" and "part" not in picture.note
    assert mean_error(tmp_path / "a.jpg", music) < 8
    path = drawn(tmp_path / "b.jpg", music // 3, framed=False)
    assert "magma in a part of its colours" in read_picture(path).note


def test_cyclic_maps_in_which_loud_and_quiet_are_mistaken_are_refused(tmp_path, music):
    for suffix in ("png", "jpg"):
        imsave(tmp_path / f"a.{suffix}", music[::-1], cmap="twilight")
        assert "loud and quiet" in read_picture(tmp_path / f"a.{suffix}").unsuitable


def test_a_colour_bar_of_few_colours_is_refused_in_jpeg(tmp_path, music):
    path = drawn(tmp_path / "a.jpg", music, cmap=ListedColormap(COLOURS), bar=True)
    assert "few colours" in read_picture(path).unsuitable


@pytest.mark.parametrize("ground", ["white", "0.75"])  # of the figure; the axes' own is white
def test_margins_and_tick_marks_inside_the_frame(tmp_path, music, ground):
    with styles.context("classic"):  # ticks point inwards, and the axes go on beyond the data
        figure, axes = plotted(music)
        axes.set(xlim=(-40, 340), ylim=(-10, 140))
    figure.savefig(tmp_path / "a.png", facecolor=ground)
    assert mean_error(tmp_path / "a.png", music) < A_ROW_OFF


def test_tick_labels_that_touch_a_plot(tmp_path, music):
    with styles.context("seaborn-v0_8-dark"):
        figure, _ = plotted(music, "viridis", bar=True, size=(10, 4), title="Mel spectrogram")
        figure.savefig(tmp_path / "a.png", dpi=72)
    assert mean_error(tmp_path / "a.png", music) < A_ROW_OFF


def with_grid(axes):
    axes.grid(visible=True)


def with_text_and_lines(axes):
    axes.axvline(100, color="w", lw=2)
    axes.axhline(40, color="cyan", ls="--")
    axes.text(120, 60, "chorus", color="w", fontsize=14)


def with_a_curve_and_a_legend(axes):
    axes.plot(np.arange(300), 40 + 10 * np.sin(np.arange(300) / 9), color="w", label="centroid")
    axes.legend(loc="upper right")


@pytest.mark.parametrize("draw_over", [with_grid, with_text_and_lines, with_a_curve_and_a_legend])
def test_lines_and_text_over_a_plot_are_filled_in_and_the_note_says_so(tmp_path, music, draw_over):
    figure, axes = plotted(music)
    draw_over(axes)
    figure.savefig(tmp_path / "a.png")
    assert "hidden by lines or text and filled in" in read_picture(tmp_path / "a.png").note
    assert mean_error(tmp_path / "a.png", music) < 2 * A_ROW_OFF


def test_grid_lines_over_a_smoothed_array_are_filled_in(tmp_path, music):
    for name, color in (("plain", "none"), ("lined", "white")):
        figure = Figure()
        axes = figure.add_subplot()
        axes.imshow(music, cmap="magma", origin="lower", aspect="auto")
        axes.grid(visible=True, color=color)
        figure.savefig(tmp_path / f"{name}.png")
    assert "hidden by lines" in read_picture(tmp_path / "lined.png").note
    assert mean_error(tmp_path / "lined.png", music) < mean_error(tmp_path / "plain.png", music) + A_ROW_OFF


def test_grid_lines_that_divide_a_plot_are_named(tmp_path, music):
    with styles.context("ggplot"):
        figure = Figure()
        figure.add_subplot().imshow(music, cmap="magma", origin="lower", aspect="auto")
        figure.savefig(tmp_path / "a.png")
    assert "grid" in read_picture(tmp_path / "a.png").unsuitable


def test_levels_that_are_covered_come_from_the_nearest_beside():
    levels, covered = np.tile(np.arange(6, dtype=np.uint8), (4, 1)), np.zeros((4, 6), bool)
    covered[2], covered[:, 3] = True, True  # two lines that cross
    expected = levels.copy()
    expected[:, 3] = 2
    np.testing.assert_array_equal(filled(np.where(covered, 99, levels), covered), expected)


def test_a_colour_bar_tells_which_end_is_loud(tmp_path, music):
    whole = Image.open(drawn(tmp_path / "a.png", music, cmap="gray_r", bar=True)).convert("RGB")
    for size in ((640, 480), (320, 240), (480, 300), (224, 224), (299, 299)):
        whole.resize(size, Image.Resampling.BILINEAR).save(tmp_path / "b.png")
        assert read_picture(tmp_path / "b.png").note.startswith("figure: grey reversed, "), size
        assert mean_error(tmp_path / "b.png", music) < 15, size
    levels = read_picture(tmp_path / "a.png").levels
    for loud_is_high, turned in ((True, levels), (False, 255 - levels[::-1])):
        np.testing.assert_array_equal(upright(levels[::-1], loud_is_high=loud_is_high), turned)


def test_power_and_plain_pictures_are_refused_for_what_they_are(tmp_path, music):
    drawn(tmp_path / "power.png", 255 * 10 ** (8 * (music / 255 - 1)))
    assert "not in decibels" in read_picture(tmp_path / "power.png").unsuitable
    for size in ((640, 480), (1, 1), (500, 1)):
        Image.new("RGB", size, "white").save(tmp_path / "plain.png")
        assert "of one colour" in read_picture(tmp_path / "plain.png").unsuitable, size


def sox_map() -> ListedColormap:
    """SoX's colours by its formulas, in 249 steps."""
    level = np.arange(249) / 248
    red = np.select([level < 0.13, level < 0.73], [0, np.sin((level - 0.13) / 0.6 * np.pi / 2)], 1)
    green = np.select([level < 0.6, level < 0.91], [0, np.sin((level - 0.6) / 0.31 * np.pi / 2)], 1)
    blue = np.select([level < 0.6, level < 0.78], [0.5 * np.sin(level / 0.6 * np.pi), 0], (level - 0.78) / 0.22)
    return ListedColormap(np.stack([red, green, blue], axis=1))


# Bins of 86 Hz, as in specgram, are wider than the lowest 80 bands.
@pytest.mark.parametrize(("program", "db", "most"), [("SoX", 120, 20), ("specgram", 180, 36)])
def test_linear_figures_of_programs_have_their_range(tmp_path, program, db, most):
    samples = render("shuffle", 0, 0, 8.0)
    samples += 1e-7 * np.random.default_rng(0).normal(size=len(samples))
    figure = Figure(facecolor="black" if program == "SoX" else "white")
    axes = figure.add_subplot()
    if program == "SoX":
        windows = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)
        levels = 20 * np.log10(np.abs(np.fft.rfft(windows)).T / 256 + 1e-9)
        axes.imshow(levels, sox_map(), vmin=-120, vmax=0, origin="lower", aspect="auto", interpolation="nearest")
    else:
        axes.specgram(samples, Fs=22_050)
    figure.savefig(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").note.endswith(f"assumed: linear to 11,025 Hz, {db} dB")
    assert mean_error(tmp_path / "a.png", log_mel(samples.astype(np.float32))) < most


@pytest.mark.parametrize("kind", KINDS)
def test_an_axis_of_one_row(tmp_path, kind):
    Image.fromarray(np.arange(40, dtype=np.uint8)[None]).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", FigureAxis(kind, NYQUIST_HZ)).levels.shape == (128, 40)


def test_of_maps_that_fit_nearly_as_well_the_usual_one_is_taken():
    coolwarm, unusual = (_tables()[name][1].astype(float) for name in ("coolwarm", "RdBu"))
    for share, name in ((0.4, "coolwarm"), (0.5, "RdBu")):  # of JPEG's errors, all towards the other map
        errors = min((unusual, unusual[::-1]), key=lambda other: np.square(other - coolwarm).sum())
        pixels = np.rint(coolwarm + share * (errors - coolwarm)).astype(np.uint8)
        assert nearest(np.tile(pixels, (4, 1, 1))).colours == name


def test_an_axis_that_the_rows_do_not_show_is_called_assumed(tmp_path, music):
    pixels = Image.open(drawn(tmp_path / "a.png", music, framed=False)).convert("RGB")
    pixels.resize((200, 100), Image.Resampling.BILINEAR).save(tmp_path / "small.png")
    assert read_picture(tmp_path / "small.png").note == "figure: magma, assumed: bands to 11,025 Hz, 80 dB"
    note = "figure: magma, bands to 11,025 Hz, assumed: Slaney's scale, 80 dB"
    assert read_picture(tmp_path / "a.png").note == note
    assert "assumed" not in read_picture(tmp_path / "small.png", FigureAxis("bands", NYQUIST_HZ)).note


def test_bands_that_imshow_blurs_are_no_linear_bins_and_linear_bins_no_bands(tmp_path, music):
    figure = Figure((14, 5))
    figure.add_subplot().imshow(music, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=255)
    figure.savefig(tmp_path / "a.png")
    assert mean_error(tmp_path / "a.png", music) < 4 * A_ROW_OFF
    # 513 bins in 385 rows
    bands = [min(max(round(band_of(hertz)), 0), 127) for hertz in np.linspace(0, NYQUIST_HZ, 513)]
    noise = np.random.default_rng(0).integers(0, 40, (513, 300))
    path = drawn(tmp_path / "b.png", np.minimum(music[bands] + noise, 255), size=(10, 5))
    assert "assumed: linear" in read_picture(path).note


@pytest.mark.parametrize("bins", [129, 257, 513, 1025])
def test_an_array_with_a_row_for_each_bin_of_a_transform_is_linear(tmp_path, bins):
    frames = np.lib.stride_tricks.sliding_window_view(render("shuffle", 0, 0, 8.0), 2 * bins - 2)[::512]
    decibels = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(2 * bins - 2))) + 1e-9).T
    imsave(tmp_path / "a.png", decibels, origin="lower", cmap="magma", vmin=decibels.max() - 80)
    picture = read_picture(tmp_path / "a.png")
    assert picture.note == "figure: magma, assumed: linear to 11,025 Hz, 80 dB" and not picture.unsuitable


def test_an_array_in_colours_that_are_not_exactly_a_maps_keeps_its_edges(tmp_path, music):
    levels = music.copy()
    levels[124:] = 0
    pixels = (matplotlib.colormaps["hot"](levels[::-1])[..., :3] * 235).astype(np.uint8)
    pixels[levels[::-1] == 0] = 0, 20, 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert "hot, bands to 11,025 Hz" in read_picture(tmp_path / "a.png").note
    assert mean_error(tmp_path / "a.png", levels) < 20


def test_kaggles_figures_that_people_changed(tmp_path, music):
    levels = np.maximum(music, 128)
    index = np.clip(np.floor((music.astype(int) - 127.5) / 127.5 * 256), 0, 255).astype(int)
    figure = Image.fromarray(kaggle_figure(index))
    figure.resize((224, 224), Image.Resampling.BILINEAR).save(tmp_path / "resized.png")
    figure.save(tmp_path / "a.jpg", quality=75)
    figure.convert("L").save(tmp_path / "grey.png")
    figure.crop((55, 36, 389, 252)).save(tmp_path / "cut.png")
    figure.crop((56, 37, 388, 251)).save(tmp_path / "cut inside.png")
    figure.convert("L").resize((192, 128), Image.Resampling.BILINEAR).save(tmp_path / "grey array.png")
    errors = {"resized.png": 8, "a.jpg": 6, "grey.png": 1, "cut.png": 0.6, "cut inside.png": 1, "grey array.png": 10}
    for name, most in errors.items():
        assert read_picture(tmp_path / name).note == "figure: magma, the upper 40 dB", name
        assert mean_error(tmp_path / name, levels) < most, name


def test_a_dark_grey_array_shows_the_upper_40_db_only_if_loud_music_lost_its_bass(tmp_path, music):
    dark = (music * 0.6).astype(np.uint8)
    loudness = dark.mean(axis=0)
    for columns, note in ((loudness < np.median(loudness), "80 dB"), (loudness > np.quantile(loudness, 0.9), "40 dB")):
        levels = dark.copy()
        levels[:8, columns] = 0
        Image.fromarray(levels[::-1]).save(tmp_path / "array.png")
        picture = read_picture(tmp_path / "array.png")
        assert picture.note.endswith(note) and np.array_equal(picture.levels, levels) == (note == "80 dB")


def test_kaggles_plots_that_people_cut_out_and_changed(tmp_path, music):
    plot = Image.fromarray(kaggle_figure(np.clip((music.astype(int) - 127.5) / 127.5 * 256, 0, 255).astype(int)))
    plot = plot.crop((54, 35, 390, 253))
    plot.save(tmp_path / "a.jpg", quality=75)
    plot.crop((1, 1, 334, 216)).save(tmp_path / "inside.jpg", quality=75)
    plot.resize((224, 224), Image.Resampling.BILINEAR).save(tmp_path / "resized.png")
    plot.resize((128, 128), Image.Resampling.BICUBIC).save(tmp_path / "small.jpg", quality=90)
    grey = plot.crop((1, 1, 334, 217)).convert("L")
    grey.save(tmp_path / "grey.png")
    grey.resize((333, 128), Image.Resampling.BILINEAR).save(tmp_path / "grey array.png")
    for name in ("a.jpg", "inside.jpg", "resized.png", "small.jpg", "grey.png", "grey array.png"):
        picture = read_picture(tmp_path / name)
        assert picture.note.endswith("the upper 40 dB") and ("grey" in name) == ("grey" in picture.note), name
        assert mean_error(tmp_path / name, np.maximum(music, 128)) < 10, name
    pixels = Image.open(drawn(tmp_path / "b.png", music, framed=False)).convert("RGB")  # of 80 dB
    pixels.resize((224, 224)).save(tmp_path / "b.png")
    assert "40 dB" not in read_picture(tmp_path / "b.png").note


def test_a_figure_of_80_db_with_kaggles_proportions_is_not_taken_for_one(tmp_path, music):
    figure = Figure(figsize=(6, 4), dpi=72)
    axes = figure.add_axes((0.125, 0.125, 0.777, 0.75), xticks=[], yticks=[])
    axes.imshow(np.maximum(music, 20), origin="lower", aspect="auto", cmap="magma", interpolation="nearest", vmax=255)
    figure.savefig(tmp_path / "a.png")
    Image.open(tmp_path / "a.png").resize((600, 400)).save(tmp_path / "b.png")
    assert "40 dB" not in read_picture(tmp_path / "b.png").note
    axes.set(title="Mel spectrogram", frame_on=False)  # with much silence
    axes.images[0].set_data(np.where(music < 110, 0, music))
    figure.savefig(tmp_path / "c.png")
    assert "40 dB" not in read_picture(tmp_path / "c.png").note


COLOURS = ["black", "navy", "blue", "purple", "crimson", "orange", "gold", "white"]
OWN_MAPS = {
    "continuous": LinearSegmentedColormap.from_list("own", ["black", "purple", "orange", "white"]),
    "a list": ListedColormap(COLOURS),
    "few of viridis": matplotlib.colormaps["viridis"].resampled(8),
}


@pytest.mark.parametrize(("name", "most"), [("continuous", A_ROW_OFF), ("a list", 9), ("few of viridis", 9)])
def test_a_colour_bar_shows_a_map_that_is_not_known(tmp_path, music, name, most):
    path = drawn(tmp_path / "a.png", music, cmap=OWN_MAPS[name], bar=True)
    assert mean_error(path, music) < most  # of 8 colours each stands for 32 levels: 8 of error
    assert ("in only 8 colours" in read_picture(path).note) == (name != "continuous")


def test_a_grey_copy_of_a_figure_is_read_by_its_colour_bar(tmp_path, music):
    Image.open(drawn(tmp_path / "a.png", music, bar=True)).convert("L").save(tmp_path / "b.png")
    assert mean_error(tmp_path / "b.png", music) < 2 * A_ROW_OFF


def test_a_figure_in_a_window_on_a_desktop(tmp_path, music):
    figure = Image.open(drawn(tmp_path / "a.png", music, bar=True)).convert("RGB")
    desktop = Image.new("RGB", (figure.width + 202, figure.height + 190), (30, 90, 140))
    desktop.paste((200, 200, 200), (100, 40, desktop.width - 100, desktop.height - 80))
    desktop.paste((50, 54, 60), (100, 40, desktop.width - 100, 70))
    desktop.paste(figure, (101, 109))
    for place in range(120, 400, 40):
        ImageDraw.Draw(desktop).rectangle((place, 76, place + 20, 96), fill=(120, 120, 130))
    desktop.save(tmp_path / "b.png")
    assert mean_error(tmp_path / "b.png", music) < A_ROW_OFF


def test_silence_as_white_as_the_ground_inside_a_frame_stays(tmp_path, music):
    levels = music.copy()
    levels[118:] = np.where(np.arange(300) % 40 < 2, levels[118:], 0)  # only drums reach the top
    assert mean_error(drawn(tmp_path / "a.png", levels, cmap="gray_r", bar=True), levels) < A_ROW_OFF


def test_an_edge_that_silence_hides_is_called_assumed(tmp_path, music):
    levels = np.where(np.arange(128)[:, None] < 100, np.maximum(music, 30), 0)
    figure, axes = plotted(levels, "gray_r", title="Mel spectrogram")
    axes.axis("off")
    figure.savefig(tmp_path / "a.png", bbox_inches="tight")
    assert read_picture(tmp_path / "a.png").note.endswith("assumed: it ends where its sound does")
