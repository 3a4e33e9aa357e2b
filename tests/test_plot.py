"""`show`: what it draws, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ipbox import panels, plot


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_images_and_titles(xp: ModuleType) -> None:
    u, v = np.arange(12.0).reshape(3, 4), np.full((5, 2), 20.0)
    figure = plot.show(xp.asarray(u), xp.asarray(v), titles=["truth", "wrong"], unit="1/mm")
    first, second, bar = figure.axes
    assert [ax.get_title() for ax in (first, second)] == ["truth", "wrong"]
    drawn = [ax.get_images()[0] for ax in (first, second)]
    assert np.array_equal(drawn[0].get_array(), u) and np.array_equal(drawn[1].get_array(), v)
    assert [im.get_clim() for im in drawn] == [(0.0, 11.0)] * 2  # the grey scale of the first
    assert all(im.origin == "upper" for im in drawn)  # row 0 is the top
    assert bar.get_ylabel() == "1/mm" and bar.get_ylim() == (0.0, 11.0)
    assert drawn[0].colorbar.extend == "max"  # 20 lies beyond


@pytest.mark.parametrize(
    "scale, limits, bars",
    [("first", [(0, 1), (0, 1)], 1), ("shared", [(-1, 5), (-1, 5)], 1), ("own", [(0, 1), (-1, 5)], 2)],
)
def test_scales(scale: str, limits: list, bars: int) -> None:
    u, v = np.array([[0.0, 1.0]]), np.array([[-1.0, 5.0], [np.nan, np.inf]])
    figure = plot.show(u, v, scale=scale)
    drawn = [ax.get_images()[0] for ax in figure.axes[:2]]
    assert [im.get_clim() for im in drawn] == limits
    assert len({id(im.colorbar) for im in drawn if im.colorbar is not None}) == bars
    assert [im.get_clim() for im in (ax.get_images()[0] for ax in plot.show(u, v, scale=scale, vmax=3).axes[:2])] == [
        (low, 3) for low, _ in limits
    ]


def test_a_scale_for_each_image() -> None:
    u, ends = np.eye(3), ((0.1, 0.2), (0.3, 2.0), (0.1, 0.2))
    vmin, vmax = zip(*ends, strict=True)
    drawn = [ax.get_images()[0] for ax in plot.show(u, u, u, scale="own", vmin=vmin, vmax=vmax).axes[:3]]
    assert tuple(im.get_clim() for im in drawn) == ends
    assert [im.colorbar.extend for im in drawn] == ["both", "min", "both"]


def test_grey_scale_and_colour_map() -> None:
    figure = plot.show(np.eye(3), vmin=-1.0, vmax=0.5, cmap="viridis", colorbar=False)
    image = figure.axes[0].get_images()[0]
    assert image.get_clim() == (-1.0, 0.5) and image.get_cmap().name == "viridis"
    assert len(figure.axes) == 1


def test_quality_against_the_truth(xp: ModuleType) -> None:
    x_true = xp.eye(8)
    u = 0.9 * x_true
    figure = plot.show(u, 2 * xp.eye(3), titles=["fbp", "other"], x_true=x_true)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["truth", "fbp: 29.0 dB", "other"]
    assert figure.axes[1].get_images()[0].get_clim() == (0, 1)  # the scale of the truth
    figure = plot.show(u, x_true, x_true=x_true)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["29.0 dB", "truth"]


def test_colours() -> None:
    u = np.zeros((4, 5, 3))
    u[..., 0] = 2.0
    figure = plot.show(u, np.full((4, 5, 3), 255, np.uint8), np.eye(4))
    red, white, grey, _ = figure.axes  # no bar explains colours
    assert np.array_equal(red.get_images()[0].get_array()[0, 0], [1, 0, 0])
    assert white.get_images()[0].get_array().dtype == np.uint8
    assert grey.get_images()[0].get_clim() == (0, 1)
    assert len(plot.show(u).axes) == 1


def test_signals() -> None:
    x_true = np.linspace(0.0, 1.0, 50)
    figure = plot.show(x_true + 0.1, x_true=x_true, unit="V")
    truth, noisy = figure.axes
    assert np.array_equal(noisy.lines[-1].get_ydata(), x_true + 0.1)
    assert np.array_equal(noisy.lines[0].get_ydata(), x_true)  # behind it
    assert noisy.get_title() == "20.0 dB" and noisy.get_ylabel() == "V"
    assert noisy.get_ylim() == truth.get_ylim() and noisy.get_ylim()[1] > 1.1  # nothing is cut off


def test_planes_of_a_volume() -> None:
    u = np.arange(6 * 7 * 8.0).reshape(6, 7, 8)
    figure = plot.show(u, titles=["head"])
    assert [ax.get_title() for ax in figure.axes[:3]] == ["head, z = 3", "y = 3", "x = 4"]
    planes = [ax.get_images()[0].get_array() for ax in figure.axes[:3]]
    assert all(np.array_equal(*pair) for pair in zip(planes, [u[3], u[:, 3], u[:, :, 4]], strict=True))
    assert len(figure.axes) == 4 and figure.axes[0].get_images()[0].get_clim() == (0, u.max())


def test_many_volumes_stand_two_beside_each_other() -> None:
    u = np.arange(6 * 7 * 8.0).reshape(6, 7, 8)
    grids = [plot.show(*[u] * n).axes[0].get_gridspec().get_geometry() for n in (5, 6, 7)]
    assert grids == [(5, 3), (3, 6), (4, 6)]


def test_colours_may_come_first() -> None:
    """As `read_image` gives them."""
    u = np.random.default_rng(0).random((3, 5, 6))
    first, last = (plot.show(v).axes[0].get_images()[0].get_array() for v in (u, np.moveaxis(u, 0, -1)))
    assert np.array_equal(first, last) and first.shape == (5, 6, 3)
    assert plot.show(u, x_true=u + 0.1).axes[1].get_title() == "20.8 dB"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(x_true=np.ones((4, 3))), r"^x_true has shape \(4, 3\); expected that of an image, \(3, 4\)$"),
        (dict(vmin=2.0, vmax=1.0), "^vmin is 2.0 and vmax is 1.0; expected vmin <= vmax$"),
        (dict(vmin=[2.0], vmax=1.0, scale="own"), "^vmin is 2.0 and vmax is 1.0; expected vmin <= vmax$"),
        (
            dict(vmax=[1.0]),
            r"^vmax is \[1.0\] with scale 'first'; expected a number, or with scale 'own' one for each of 1",
        ),
        (
            dict(vmax=[1.0, 2.0], scale="own"),
            r"^vmax is \[1.0, 2.0\] with scale 'own'; expected a number, or with scale",
        ),
        (
            dict(vmin="dark"),
            "^vmin is 'dark' with scale 'first'; expected a number, or with scale 'own' one for each of 1",
        ),
        (dict(path="picture.xyz"), r"^path is picture.xyz; expected one that ends in \..*, \.png, "),
    ],
)
def test_slips(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.show(np.ones((3, 4)), **options)


def test_images_are_left_as_they_are() -> None:
    images = [np.linspace(-1.0, 2.0, n).reshape(shape) for n, shape in ((12, (3, 4)), (36, (3, 4, 3)), (5, (5,)))]
    kept = [u.copy() for u in images]
    plot.show(*images, x_true=images[0])
    assert all(np.array_equal(u, k) for u, k in zip(images, kept, strict=True))


@pytest.mark.parametrize("n, grid", [(1, (1, 1)), (4, (1, 4)), (5, (2, 3)), (6, (2, 3)), (8, (2, 4)), (9, (3, 3))])
def test_many_images_wrap(n: int, grid: tuple[int, int]) -> None:
    figure = plot.show(*[np.eye(4)] * n)
    assert len(figure.axes) == n + 1
    assert figure.axes[0].get_gridspec().get_geometry() == grid


def test_long_titles_wrap() -> None:
    title = "chest: 3.3 standard deviations, off: nothing, as far as we know"
    lines = plot.show(np.eye(4), titles=[title]).axes[0].get_title().split("\n")
    assert " ".join(lines) == title and max(map(len, lines)) <= panels.LINE


@pytest.mark.parametrize(
    "arguments, options, error, message",
    [
        ([], {}, ValueError, "images is empty; expected at least one image"),
        ([np.ones((2, 2, 2, 2))], {}, ValueError, r"image 0 has shape \(2, 2, 2, 2\); expected \(ny, nx\)"),
        ([np.ones((0, 3))], {}, ValueError, r"image 0 has shape \(0, 3\); expected \(ny, nx\)"),
        ([np.array([["a"]])], {}, TypeError, "image 0 has dtype <U1; expected real values"),
        ([np.eye(2)], {"x_true": 1j * np.eye(2)}, TypeError, "x_true has dtype complex128; expected real values"),
        ([np.eye(2)], {"scale": "each"}, ValueError, "scale is 'each'; expected one of 'first', 'shared', 'own'"),
        ([np.eye(2), np.eye(2) * 1j], {}, TypeError, "image 1 has dtype complex128; expected real values"),
        ([[[1.0]]], {}, TypeError, "^image 0 is list; expected a NumPy or CuPy array$"),
        ([np.eye(2)], {"titles": ["a", "b"]}, ValueError, "titles has 2 entries; expected 1, one for each image"),
    ],
)
def test_refusals(arguments: list, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot.show(*arguments, **options)


def test_pixels_have_the_shape_that_their_spacing_says() -> None:
    (ax, *_) = plot.show(np.eye(6), spacing=(3.0, 1.5)).axes
    assert ax.get_aspect() == 2.0
    volume = np.arange(5 * 6 * 7.0).reshape(5, 6, 7)
    axes = plot.show(volume, spacing=(4.0, 2.0, 1.0)).axes[:3]
    assert [ax.get_aspect() for ax in axes] == [2.0, 4.0, 2.0]  # dy/dx, dz/dx, dz/dy
    assert [ax.get_title() for ax in axes] == ["z = 2", "y = 3", "x = 3"]
    assert [ax.get_aspect() for ax in plot.show(volume, spacing=3.0).axes[:3]] == [1.0] * 3
    plot.show(np.arange(4.0), spacing=2.0)  # a signal has no pixels


@pytest.mark.parametrize("spacing", [0.0, (1.0, -1.0), (1.0, 1.0, 1.0), "1 mm", (1.0, np.nan)], ids=str)
def test_spacings_that_are_none(spacing: object) -> None:
    with pytest.raises(ValueError, match="spacing is"):
        plot.show(np.eye(4), spacing=spacing)


def test_errors_stand_below_on_one_scale(xp: ModuleType) -> None:
    u = np.arange(12.0).reshape(3, 4)
    v, w = u + 0.5, u - np.eye(3, 4)
    for given in ([xp.asarray(v), xp.asarray(w)], None):
        truth = xp.asarray(u)
        images = [truth, xp.asarray(v), xp.asarray(w)] if given is None else given
        axes = plot.show(*images, x_true=truth, errors=True, unit="HU").axes
        assert len(axes) == 7  # three images, two errors, two bars
        drawn = [ax.get_images()[0] for ax in axes[3:5]]
        assert np.array_equal(drawn[0].get_array(), v - u) and np.array_equal(drawn[1].get_array(), w - u)
        assert [im.get_clim() for im in drawn] == [(-1.0, 1.0)] * 2 and drawn[0].get_cmap().name == "PuOr"
        assert [ax.get_title() for ax in axes[3:5]] == ["error, up to 0.5", "error, up to 1"]
        assert [ax.get_ylabel() for ax in axes[5:]] == ["HU", "HU"]
        above, below = (ax.get_subplotspec() for ax in (axes[1], axes[3]))
        assert above.colspan == below.colspan and below.rowspan.start == above.rowspan.start + 1
    assert plot.show(u, x_true=u, errors=True, colorbar=False).axes[0].get_title() == "truth"


def test_a_part_enlarged() -> None:
    u = np.arange(200.0).reshape(10, 20)
    ax = plot.show(u, zoom=(slice(1, 4), slice(15, 20)), vmin=0.0, vmax=50.0).axes[0]
    (inset,) = [child for child in ax.child_axes if child.get_images()]
    part = inset.get_images()[0]
    assert np.array_equal(part.get_array(), u[1:4, 15:20]) and part.get_clim() == (0.0, 50.0)
    ax.figure.canvas.draw()
    image, there = ax.get_window_extent(), inset.get_window_extent()
    assert there.x0 == pytest.approx(image.x0) and there.y0 == pytest.approx(image.y0)  # the corner farthest from it
    assert there.width / there.height == pytest.approx(5 / 3)  # its pixels are square, as those of the image
    frame = next(patch for patch in ax.patches)
    assert frame.get_bbox().bounds == (14.5, 0.5, 5.0, 3.0)


def test_a_part_enlarged_is_in_another_corner() -> None:
    u = np.zeros((10, 10))
    for rows, columns, x, y in ((0, 0, 1, 0), (0, 7, 0, 0), (7, 0, 1, 1), (7, 7, 0, 1)):
        ax = plot.show(u, zoom=(slice(rows, rows + 3), slice(columns, columns + 3))).axes[0]
        ax.figure.canvas.draw()
        box, image = ax.child_axes[0].get_window_extent(), ax.get_window_extent()
        assert (box.x1 == pytest.approx(image.x1)) == (x == 1) and (box.y1 == pytest.approx(image.y1)) == (y == 1)


HERE = (slice(0, 2), slice(0, 2))


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        ([np.eye(3)], {"errors": True}, ValueError, "errors is True and x_true is None; expected the truth"),
        (
            [np.eye(3), np.eye(4)],
            {"errors": True, "x_true": np.eye(3)},
            ValueError,
            "errors is True with an image of shape (4, 4); expected (ny, nx), as x_true (3, 3)",
        ),
        (
            [np.ones(3)],
            {"errors": True, "x_true": np.ones(3)},
            ValueError,
            "errors is True with an image of shape (3,)",
        ),
        ([np.eye(3)], {"errors": 1}, TypeError, "errors is 1; expected True or False"),
        ([np.eye(3)], {"zoom": 3}, TypeError, "zoom is 3; expected slices of rows and columns"),
        ([np.eye(3)], {"zoom": (slice(0, 4), slice(0, 2))}, ValueError, "zoom is (slice(0, 4, None), "),
        ([np.eye(3)], {"zoom": (slice(2, 2), slice(0, 2))}, ValueError, "zoom is (slice(2, 2, None), "),
        ([np.eye(3)], {"zoom": (slice(0, 3, 2), slice(0, 2))}, ValueError, "zoom is (slice(0, 3, 2), "),
        (
            [np.ones(3)],
            {"zoom": HERE},
            ValueError,
            "zoom is given with image 0 of shape (3,); expected images (ny, nx)",
        ),
    ],
)
def test_refused_errors_and_zooms(
    images: list[np.ndarray], options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        plot.show(*images, **options)
    assert str(caught.value).startswith(message)
