"""``reconstruct`` with what scanners write: stacks, counts with flat and dark fields, a centre, λ by a rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

import ipbox as ip
from ipbox.choose.dispatch import RULES
from ipbox.cli import main, parser

ANGLES = np.arange(30) * (math.pi / 30)
TURN = ["--angles", "0:180:30", "--degrees", "--quiet"]


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    """(slices, angles, detector): three objects of different size."""
    A = ip.RayTransform((32, 32), ANGLES, 48)
    y, x = np.mgrid[-15.5:16, -15.5:16]
    images = [((x - 3) ** 2 + y**2 < r**2) * 0.05 + (x**2 + (y + 4) ** 2 < 9) * 0.02 for r in (6, 9, 12)]
    return A.apply(np.stack(images).astype(np.float32))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., np.ndarray]:
    def reconstruct(file: str, *options: object) -> np.ndarray:
        words = ["reconstruct", str(tmp_path / file), *TURN, "--out", str(tmp_path / "x.npy"), "--size", "32"]
        assert main([*words, *map(str, options)]) == 0
        return np.load(tmp_path / "x.npy")

    return reconstruct


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    def reconstruct(file: str, *options: object) -> str:
        words = ["reconstruct", str(tmp_path / file), *TURN, "--out", str(tmp_path / "x.npy")]
        assert main([*words, *map(str, options)]) == 2
        return capsys.readouterr().err

    return reconstruct


def by_hand(b: np.ndarray, **geometry: float) -> np.ndarray:
    return ip.fbp(ip.RayTransform((32, 32), ANGLES, b.shape[-1], dtype=b.dtype, **geometry), b)[0]


# ---------------------------------------------------------------- stacks


def test_stacks_in_every_order(tmp_path: Path, stack: np.ndarray, run: Callable) -> None:
    expected = np.stack([by_hand(b) for b in stack])
    for order in (
        "angles,slices,detector",
        "slices,angles,detector",
        "detector,slices,angles",
        "slices,detector,angles",
    ):
        axes = [("slices", "angles", "detector").index(name) for name in order.split(",")]
        np.save(tmp_path / "b.npy", stack.transpose(axes))
        assert np.array_equal(run("b.npy", "--order", order), expected)
        assert np.array_equal(run("b.npy", "--order", order, "--slice", 2), expected[2])
    np.save(tmp_path / "b.npy", stack.transpose(1, 0, 2))
    assert np.array_equal(run("b.npy"), expected)  # (angles, slices, detector), as detectors write it
    tifffile.imwrite(tmp_path / "b.tif", stack.transpose(1, 0, 2), photometric="minisblack")
    assert np.array_equal(run("b.tif"), expected)
    np.save(tmp_path / "c.npy", stack[0].T)
    assert np.array_equal(run("c.npy", "--order", "detector,angles"), expected[0])


def test_a_slice_of_a_stack_is_that_sinogram_by_any_method(tmp_path: Path, stack: np.ndarray, run: Callable) -> None:
    np.save(tmp_path / "b.npy", stack.transpose(1, 0, 2))
    np.save(tmp_path / "one.npy", stack[1])
    options = ["--method", "cgls", "--noise-level", 0.05]
    assert np.array_equal(run("b.npy", *options)[1], run("one.npy", *options))


def test_stacks_that_are_refused(tmp_path: Path, stack: np.ndarray, refused: Callable) -> None:
    np.save(tmp_path / "b.npy", stack)
    np.save(tmp_path / "one.npy", stack[0])
    for file, options, words in (
        ("b.npy", [], "FILE has shape (3, 48), expected one angle for each of its 3 rows"),
        ("b.npy", ["--order", "slices,angles"], "--order is slices,angles; FILE has shape (3, 30, 48)"),
        ("b.npy", ["--order", "slices,angles,detector", "--slice", 3], "--slice is 3; expected 0 to 2"),
        ("b.npy", ["--transpose"], "--transpose is given with a stack"),
        ("one.npy", ["--slice", 0], "--slice is 0; expected none, FILE holds one sinogram"),
        ("one.npy", ["--centre", 48], "--centre is 48; expected a pixel of the detector, 0 to 47"),
        ("one.npy", ["--centre", 3, "--det-shift", 1], "--centre is 3 and --det-shift 1; expected one of them"),
        ("one.npy", ["--dark", 3], "--dark is 3; expected it with --flat only"),
        ("one.npy", ["--flat", "f.txt"], "--flat is f.txt; expected a number or a file"),
        ("one.npy", ["--flat", "0"], "flat is not above dark in 1 of 1 detector pixels"),
    ):
        assert words in refused(file, *options)
    picture = refused("b.npy", "--order", "slices,angles,detector", "--out", tmp_path / "x.png")
    assert "a picture, and FILE has 3 slices; expected --slice" in picture


# ---------------------------------------------------------------- counts


def test_counts_with_flat_and_dark_frames(
    tmp_path: Path,
    stack: np.ndarray,
    run: Callable,
    refused: Callable,
    rng: np.random.Generator,
    capsys: pytest.CaptureFixture,
) -> None:
    flat = rng.integers(40000, 60000, (3, 48)).astype(float)
    dark = rng.integers(90, 110, (3, 48)).astype(float)
    counts = np.rint(dark[:, None] + (flat - dark)[:, None] * np.exp(-stack)).astype(np.uint16)
    counts[1, 4, 7] = 0  # a dead pixel: fewer than the dark field
    np.save(tmp_path / "b.npy", counts.transpose(1, 0, 2))
    np.save(tmp_path / "flat.npy", np.stack([flat - 5, flat + 5]).astype(np.float32))  # frames, as angles are
    np.save(tmp_path / "dark.npy", dark)
    x = run("b.npy", "--flat", tmp_path / "flat.npy", "--dark", tmp_path / "dark.npy")
    assert f"1 of {counts.size} entries below a transmission" in capsys.readouterr().out and x.dtype == np.float32
    for k in (0, 2):
        assert np.linalg.norm(x[k] - by_hand(stack[k])) < 2e-3 * np.linalg.norm(x[k])
    one = run("b.npy", "--flat", tmp_path / "flat.npy", "--dark", tmp_path / "dark.npy", "--slice", 2)
    assert np.array_equal(one, x[2])
    for fields, words in (
        (flat[:1, None], None),
        (np.stack([flat[:2]] * 2), "has 2 slices; expected 1, or the 3 of FILE"),
    ):
        np.save(tmp_path / "other.npy", np.moveaxis(fields, 1, 0) if words is None else fields)
        options = ["--flat", tmp_path / "other.npy", "--slice", 2]
        if words is None:
            run("b.npy", *options)
        else:
            assert words in refused("b.npy", *options)


def test_counts_are_noticed(tmp_path: Path, stack: np.ndarray, run: Callable, capsys: pytest.CaptureFixture) -> None:
    for scale in (1.0, 5e4):  # normalised, and not
        np.save(tmp_path / "i.npy", scale * np.exp(-stack[1].astype(np.float64)))
        run("i.npy")
        assert "i.npy looks like raw counts" in capsys.readouterr().err
        x = run("i.npy", "--flat", scale)
        assert capsys.readouterr().err == "" and np.allclose(x, by_hand(stack[1]), atol=1e-5)
    np.save(tmp_path / "b.npy", stack[1])
    run("b.npy")
    assert capsys.readouterr().err == ""


def test_whole_numbers_that_look_like_counts(tmp_path: Path, stack: np.ndarray, refused: Callable) -> None:
    np.save(tmp_path / "i.npy", np.rint(5e4 * np.exp(-stack[1])).astype(np.uint16))
    assert "has dtype uint16 and looks like raw counts" in refused("i.npy")


# ---------------------------------------------------------------- centre, λ


def test_centre_of_rotation(tmp_path: Path, stack: np.ndarray, run: Callable) -> None:
    """A detector that was two pixels and a half to the side is the same scan once --centre says so."""
    expected = by_hand(stack[0])
    A = ip.RayTransform((32, 32), ANGLES, 48, det_shift=2.5)
    np.save(tmp_path / "b.npy", A.apply(expected))
    np.save(tmp_path / "rolled.npy", np.roll(stack[0], -3, axis=1))  # the object ends well within the detector
    assert np.array_equal(run("b.npy", "--centre", 21.0), ip.fbp(A, A.apply(expected))[0])
    rolled = run("rolled.npy", "--centre", 23.5 - 3)
    assert np.linalg.norm(rolled - expected) < 3e-3 * np.linalg.norm(expected)


def test_rules_are_those_of_the_package() -> None:
    assert sorted(parser.RULES) == sorted(RULES)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        (["tikhonov", "--lam", "gcv", "--niter", 10], lambda A, b: ip.tikhonov(A, b, "gcv", niter=10)),
        (
            ["tv", "--lam", "discrepancy", "--noise-level", 0.3],
            lambda A, b: ip.tv(A, b, "discrepancy", noise_level=0.3, nonneg=True, niter=100),
        ),
    ],
)
def test_lam_by_rule(
    tmp_path: Path, stack: np.ndarray, run: Callable, rng: np.random.Generator, options: list, call: Callable
) -> None:
    b = (stack[0] + rng.normal(0, 0.3 / math.sqrt(30 * 48), (30, 48))).astype(np.float32)
    np.save(tmp_path / "b.npy", b)
    more = ["--nonneg", "--niter", 100] if options[0] == "tv" else []
    x = run("b.npy", "--method", *options, *more)
    assert np.array_equal(x, call(ip.RayTransform((32, 32), ANGLES, 48), b)[0])


def test_noise_level_from_the_data(
    tmp_path: Path, stack: np.ndarray, run: Callable, rng: np.random.Generator, refused: Callable, capsys: object
) -> None:
    b = (stack[0] + rng.normal(0, 0.02, (30, 48))).astype(np.float32)
    np.save(tmp_path / "b.npy", b)
    A = ip.RayTransform((32, 32), ANGLES, 48)
    x = run("b.npy", "--method", "cgls", "--noise-level", "estimate")
    assert np.array_equal(x, ip.cgls(A, b, ip.estimate_noise(b, A))[0])
    words = refused("b.npy", "--method", "tikhonov", "--lam", "discrepancy")
    assert "--lam is discrepancy; expected it with --noise-level" in words
