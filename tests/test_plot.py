"""`show`: what it draws, where it saves, what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ipbox import plot


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_images_and_titles(xp: ModuleType) -> None:
    u, v = np.arange(12.0).reshape(3, 4), np.full((5, 2), 20.0)
    figure = plot.show(xp.asarray(u), xp.asarray(v), titles=["truth", "wrong"])
    assert [ax.get_title() for ax in figure.axes] == ["truth", "wrong"]
    drawn = [ax.get_images()[0] for ax in figure.axes]
    assert np.array_equal(drawn[0].get_array(), u) and np.array_equal(drawn[1].get_array(), v)
    assert [im.get_clim() for im in drawn] == [(0.0, 11.0)] * 2  # the grey scale of the first
    assert all(im.origin == "upper" for im in drawn)  # row 0 is the top


def test_grey_scale_and_colour_map() -> None:
    figure = plot.show(np.eye(3), vmin=-1.0, vmax=0.5, cmap="viridis")
    image = figure.axes[0].get_images()[0]
    assert image.get_clim() == (-1.0, 0.5) and image.get_cmap().name == "viridis"


def test_many_images_wrap() -> None:
    figure = plot.show(*[np.eye(4)] * 6)
    assert len(figure.axes) == 6
    assert figure.axes[0].get_gridspec().get_geometry() == (2, plot.COLUMNS)


def test_saved_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "eye.png"
    plot.show(np.eye(16), path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = plt.imread(path)[..., :3]
    assert picture.min() == 0 and picture.max() == 1
    assert not plt.get_fignums()  # no window, nothing for pyplot to keep


@pytest.mark.parametrize("name", ["a.png", "a.PDF", "a.svg", "a"])
def test_formats(tmp_path: Path, name: str) -> None:
    plot.show(np.eye(16), path=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name if "." in name else "a.png"]


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^path is .*nowhere/a\.png, which cannot be written: No such file"):
        plot.show(np.eye(16), path=tmp_path / "nowhere" / "a.png")
    with pytest.raises(ValueError, match="Format 'xyz' is not supported"):
        plot.show(np.eye(16), path=tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, options, error, message",
    [
        ([], {}, ValueError, "images is empty; expected at least one image"),
        ([np.ones(3)], {}, ValueError, r"image 0 has shape \(3,\); expected \(ny, nx\)"),
        ([np.eye(2), np.eye(2) * 1j], {}, TypeError, "image 1 has dtype complex128; expected real values"),
        ([[[1.0]]], {}, TypeError, "expected a NumPy or CuPy array, got list"),
        ([np.eye(2)], {"titles": ["a", "b"]}, ValueError, "titles has 2 entries; expected 1, one for each image"),
    ],
)
def test_refusals(arguments: list, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot.show(*arguments, **options)
