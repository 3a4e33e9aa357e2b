"""`animate`: a frame for each iterate, what is on it, and the files."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import ipbox as ip
from ipbox.animation import thinned

RUN = {k: (k + 1) * np.linspace(0.0, 1.0, 20).reshape(4, 5) for k in range(3)}


def drawn(figure: Any) -> list[np.ndarray]:
    """The pixels inside the axes of each image, without frames, titles and bars."""
    figure.canvas.draw()
    picture = np.array(figure.canvas.buffer_rgba())[..., :3]
    found = []
    for ax in figure.axes:
        if ax.get_images():
            x0, y0, x1, y1 = (round(v) for v in ax.get_window_extent().extents)
            found.append(picture[picture.shape[0] - y1 + 2 : picture.shape[0] - y0 - 2, x0 + 2 : x1 - 2])
    return found


def centres(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The colour in the middle of each of the image's pixels."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, pixels.shape, strict=False))
    return pixels[np.ix_(rows, columns)]


def read(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        frames = []
        for k in range(file.n_frames):
            file.seek(k)
            frames.append(np.asarray(file.convert("RGB")))
        return frames


def test_a_gif_has_a_frame_for_each_iterate_as_show_draws_it(xp: ModuleType, tmp_path: Path) -> None:
    film = ip.animate({k: xp.asarray(u) for k, u in RUN.items()}, tmp_path / "run.gif")
    frames = read(tmp_path / "run.gif")
    assert len(frames) == len(RUN) == len(film.ks)
    for k, pixels in zip(film.ks, frames, strict=True):
        assert np.array_equal(pixels, film.frame(k))  # greys are exact
        here = drawn(film.figure)[0]
        there = drawn(ip.show(RUN[k], vmin=0.0, vmax=3.0))[0]
        assert np.array_equal(centres(here, (4, 5)), centres(there, (4, 5)))
        grey = plt.get_cmap("gray")(RUN[k] / 3.0, bytes=True)[..., :3]
        assert np.array_equal(centres(here, (4, 5)), grey)
    plt.close("all")
    with Image.open(tmp_path / "run.gif") as file:
        assert file.info["loop"] == 0 and file.info["duration"] == 120  # in GIF, hundredths of a second


def test_maps_with_more_than_256_colours(tmp_path: Path) -> None:
    u = np.linspace(0, 1, 900).reshape(30, 30)
    film = ip.animate([u, u[::-1]], tmp_path / "run.gif", cmap="viridis", unit="1/mm")
    for k, pixels in enumerate(read(tmp_path / "run.gif")):
        assert np.abs(pixels.astype(int) - film.frame(k)).max() <= 4


def test_the_scale_is_shared_or_that_of_the_truth() -> None:
    def limits(**options: Any) -> tuple[float, float]:
        return ip.animate(RUN, **options).figure.axes[-2].get_images()[0].get_clim()

    assert limits() == (0, 3)
    assert limits(x_true=RUN[1]) == (0, 2)
    assert limits(x_true=RUN[1], vmax=1) == (0, 1)
    bar = ip.animate(RUN, x_true=RUN[1], unit="HU").figure.axes[-1]
    assert bar.get_ylabel() == "HU" and bar.get_ylim() == (0, 2)
    assert bar._colorbar.extend == "max"  # of the last iterate
    assert len(ip.animate(RUN, colorbar=False).figure.axes) == 1


def test_what_is_told() -> None:
    film = ip.animate(RUN, x_true=2.02 * RUN[0], objective=[3.0, 2.0, 123456.0])
    quality = [f"{ip.psnr(u, 2.02 * RUN[0]):.1f} dB" for u in RUN.values()]
    assert film.title(1) == f"iteration 1, objective 2, {quality[1]}"
    film.frame(2)
    assert film.figure._suptitle.get_text() == film.title(2) == f"iteration 2, objective 1.235e+05, {quality[2]}"
    assert [ax.get_title() for ax in film.figure.axes[:2]] == ["truth", ""]


def test_signals_volumes_and_colours() -> None:
    s = np.sin(np.arange(50.0))
    film = ip.animate([0 * s, s], x_true=s)
    film.frame(1)
    ax = film.figure.axes[0]
    assert np.array_equal(ax.lines[-1].get_ydata(), s) and ax.get_ylim()[0] < s.min() and ax.get_ylim()[1] > s.max()
    v = np.arange(120.0).reshape(6, 4, 5)
    film = ip.animate([v, 2 * v], spacing=(2.0, 1.0, 1.0), x_true=v)
    film.frame(1)
    images = [ax.get_images()[0] for ax in film.figure.axes[:6]]
    planes = [v[3], v[:, 2], v[:, :, 2]]
    assert all(np.array_equal(im.get_array(), p) for im, p in zip(images[:3], planes, strict=True))
    assert all(np.array_equal(im.get_array(), 2 * p) for im, p in zip(images[3:], planes, strict=True))
    c = np.random.default_rng(0).random((4, 4, 3))
    film = ip.animate([c, 2 * c])
    film.frame(1)
    assert np.array_equal(film.figure.axes[0].get_images()[0].get_array(), np.clip(2 * c, 0, 1))


def test_a_page_for_notebooks(tmp_path: Path) -> None:
    film = ip.animate(RUN, tmp_path / "run.html", fps=4)
    text = (tmp_path / "run.html").read_text()
    assert len(re.findall(r"frames\[\d+\] = ", text)) == 3 and text == _plain(film.to_jshtml(), text)
    assert _plain(film._repr_html_(), text) == text
    assert "250" in text  # milliseconds


def _plain(page: str, other: str) -> str:
    """With the random name of the other page's animation."""
    name, of = (re.search(r"_anim_img([0-9a-f]+)", p)[1] for p in (page, other))
    return page.replace(name, of)


def test_iterates_are_thinned() -> None:
    assert thinned(range(5), 5) == [0, 1, 2, 3, 4]
    assert thinned(range(6), 5) == [0, 2, 4, 5]
    assert thinned([3, 7], 2) == [3, 7]
    for n in range(1, 40):
        for most in range(2, 12):
            found = thinned(range(n), most)
            assert found[0] == 0 and found[-1] == n - 1 and len(found) == len(set(found)) <= most
    assert ip.animate([np.eye(3)] * 300).ks[:2] == (0, 4) and len(ip.animate([np.eye(3)] * 300, most=300).ks) == 300


def test_the_callback_keeps_so_many() -> None:
    A = np.diag(np.arange(1.0, 9.0))
    problem = ip.Problem(ip.L2(ip.as_operator(A), np.ones(8)))
    every: dict[int, np.ndarray] = {}
    for run in ip.iterate(problem, ip.GradientDescent(), stop=ip.stop.niter(37)):
        every[run.k] = run.x.copy()
    for most in (2, 3, 8, 64):
        keep = ip.callbacks.Iterates(most, objective=True)
        ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(37), callbacks=[keep])
        assert 37 in keep.x and 0 in keep.x and len(keep.x) <= most and keep.x.keys() == keep.objective.keys()
        steps = set(np.diff([k for k in keep.x if k != 37]).tolist())
        assert len(steps) <= 1 and (not steps or steps.pop() < 2 * 38 / (most - 1))
        for k, x in keep.x.items():
            np.testing.assert_array_equal(x, every[k])
            assert keep.objective[k] == pytest.approx(problem.objective(every[k]), rel=1e-12)
    assert len(keep.x) == 38
    for n in range(2, 38):
        few = ip.callbacks.Iterates(5)
        ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(n), callbacks=[few])
        assert len(set(np.diff([k for k in few.x if k != n]))) <= 1, list(few.x)
    assert keep.animate(most=5).title(37) == f"iteration 37, objective {keep.objective[37]:.4g}"
    keep = ip.callbacks.Iterates()
    ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(1), callbacks=[keep])
    assert not keep.objective and list(keep.x) == [0, 1]


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"iterates": []}, ValueError, "iterates is empty; expected at least one image"),
        ({"iterates": 3}, TypeError, "iterates is int; expected a dict or a sequence, one array an iteration"),
        ({"iterates": {-1: np.eye(2)}}, ValueError, "iterates has the key -1; expected numbers of iterations"),
        ({"iterates": [[1.0]]}, TypeError, "iterate 0 is list; expected"),
        ({"iterates": [np.eye(2), np.eye(3)]}, ValueError, "iterate 1 has shape (3, 3); expected (2, 2)"),
        ({"iterates": [1j * np.eye(2)]}, TypeError, "iterate 0 has dtype complex128; expected real values"),
        ({"x_true": np.eye(3)}, ValueError, "iterate 0 has shape (4, 5); expected (3, 3)"),
        ({"objective": [1.0]}, ValueError, "objective of iterate 1 is missing; expected a number for each iterate"),
        ({"objective": [1.0, "a", 2.0]}, ValueError, "objective of iterate 1 is 'a'; expected a number for each"),
        ({"vmin": 5.0}, ValueError, "vmin is 5.0 and vmax is 3.0; expected vmin <= vmax"),
        ({"vmax": "a"}, ValueError, "vmax is 'a'; expected a number"),
        ({"most": 1}, ValueError, "most is 1; expected an integer of at least 2"),
        ({"fps": 0}, ValueError, "fps is 0; expected a positive number"),
        ({"spacing": -1.0}, ValueError, "spacing is -1.0; expected positive distances"),
        ({"path": "run.png"}, ValueError, "path is 'run.png'; expected a file that ends in .gif or .html"),
    ],
)
def test_bad_input(given: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(sentence)}"):
        ip.animate(**({"iterates": RUN} | given))


def test_bad_input_of_the_callback() -> None:
    problem = ip.Problem(ip.L2(b=np.ones((3, 4))), batch=3)
    with pytest.raises(ValueError, match="^callbacks has Iterates, .* batch of 3; expected one image$"):
        ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(2), callbacks=[ip.callbacks.Iterates()])
    with pytest.raises(ValueError, match="^k is 9; expected one of"):
        ip.animate(RUN).frame(9)
