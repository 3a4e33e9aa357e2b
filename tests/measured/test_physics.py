"""Beam hardening and propagation undone, against what a forward model of each says."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.problems.truths.phantoms import Ellipse
from tests.measured.scans import HALF, integrals

LENGTHS = integrals(HALF, 96, objects=(Ellipse(1.0, 4.0, -3.0, 35.0, 28.0), Ellipse(-1.0, 10.0, 5.0, 9.0, 6.0)))


def polychromatic(lengths: np.ndarray) -> np.ndarray:
    """Of three energies: attenuation in 1/column, and how much of the beam has it."""
    return -np.log(sum(w * np.exp(-mu * lengths) for w, mu in ((0.3, 0.02), (0.5, 0.035), (0.2, 0.06))))


def test_hardening_is_fitted_and_the_cupping_goes() -> None:
    b = polychromatic(LENGTHS)
    c, mu = ip.measured.fit_hardening(b, LENGTHS)
    straight = ip.measured.correct_hardening(b, c)
    assert c[0] == 1 and mu == pytest.approx(0.3 * 0.02 + 0.5 * 0.035 + 0.2 * 0.06, rel=0.01)  # that of thin layers
    assert abs(straight - mu * LENGTHS).max() < 0.005 * straight.max() < abs(b - mu * LENGTHS).max() / 20
    A = ip.RayTransform((96, 96), HALF, n_det=96)
    y, x = 47.5 - np.arange(96)[:, None], np.arange(96) - 47.5
    middle, rim = (
        (np.hypot((x - 4) / 35, (y + 3) / 28) < 0.25),
        (abs(np.hypot((x - 4) / 35, (y + 3) / 28) - 0.85) < 0.05),
    )
    away = np.hypot((x - 10) / 9, (y - 5) / 6) > 1.5

    def cupping(data: np.ndarray) -> float:
        u = ip.fbp(A, data.astype(np.float32), "hann")[0]
        return 1 - u[middle & away].mean() / u[rim & away].mean()

    assert cupping(b) > 0.05 and abs(cupping(straight)) < 0.01


def test_hardening_keeps_dtype_and_device(xp: ModuleType) -> None:
    b = backend.to_device(polychromatic(LENGTHS).astype(np.float32), xp)
    before = b.copy()
    out = ip.measured.correct_hardening(b, [1.0, 0.1, 0.01])
    assert type(out) is type(b) and out.dtype == np.float32 and bool((b == before).all())
    host = backend.to_host(b).astype(np.float64)
    assert np.allclose(backend.to_host(out), host + 0.1 * host**2 + 0.01 * host**3, rtol=1e-5)


def propagated(thickness: np.ndarray, beta: float, delta: float, energy: float, z: float, h: float) -> np.ndarray:
    """Intensity of a plane wave at a distance z behind an object: Fresnel's propagator."""
    wave = 1.23984198e-9 / energy
    k = 2 * np.pi / wave
    psi = np.exp(-k * beta * thickness - 1j * k * delta * thickness)
    ωy, ωx = (2 * np.pi * np.fft.fftfreq(n, h) for n in thickness.shape)
    return abs(np.fft.ifft2(np.fft.fft2(psi) * np.exp(-0.5j * z / k * (ωy[:, None] ** 2 + ωx**2)))) ** 2


def test_paganin_gives_the_thickness_back_that_was_propagated() -> None:
    """By Fresnel's propagator, which the transport of intensity approximates, and by units: metres and keV."""
    h, energy, z, beta, delta = 1e-6, 20.0, 0.02, 1e-9, 5e-7
    y, x = np.mgrid[:128, :128] - 63.5
    from scipy.ndimage import gaussian_filter

    chord = 2 * h * np.sqrt(np.maximum(40.0**2 - (x - 3) ** 2 - (y + 5) ** 2, 0.0))
    thickness = gaussian_filter(chord, 2.0)
    T = propagated(thickness, beta, delta, energy, z, h)[None]
    mu = 4 * np.pi * beta * energy / 1.23984198e-9
    options = dict(delta_beta=delta / beta, energy=energy, distance=z, pixel_size=h)
    b = ip.measured.paganin(T, **options)
    plain = ip.measured.minus_log(T)
    exact = mu * thickness
    assert abs(b[0] - exact).max() < 0.05 * exact.max() < 0.3 * abs(plain[0] - exact).max()
    assert np.linalg.norm(b[0] - exact) < 0.01 * np.linalg.norm(exact)


def test_paganin_is_the_inverse_of_the_transport_of_intensity(xp: ModuleType) -> None:
    """(1 - z δ/μ ∇²) e^(-μt), to rounding for a wave that fits the panel; and of one row."""
    n, h, energy, z = 64, 2e-6, 15.0, 0.01
    factor = z * 300.0 * 1.23984198e-9 / energy / (4 * np.pi)
    for shape, ω in (((4, 48, n), 2 * np.pi * 12 / (96 * h)), ((4, n), 2 * np.pi * 12 / (96 * h))):
        wave = np.cos(ω * h * (np.arange(96) - 16))  # with the quarter that is added on either side
        T = 0.6 + 0.1 * wave[16:80] * (1 + factor * ω**2) + np.zeros(shape)
        b = ip.measured.paganin(backend.to_device(T, xp), delta_beta=300.0, energy=energy, distance=z, pixel_size=h)
        inner = (..., slice(20, -20))
        assert b.shape == shape and type(b) is type(backend.to_device(T, xp))
        assert np.allclose(backend.to_host(b)[inner], -np.log(0.6 + 0.1 * wave[16:80])[20:-20], atol=5e-3)
    none = ip.measured.paganin(T, delta_beta=300.0, energy=energy, distance=0, pixel_size=(h, h))
    assert np.allclose(none, -np.log(T))


PANEL = ip.measured.Panel((6, 9), (0.5, 0.25), (1.0, -2.0))
X = np.random.default_rng(0).standard_normal((3, 6, 9))


@pytest.mark.parametrize("n", [8, 9])
def test_pixels_stay_where_they_are(n: int) -> None:
    """What is read is a position: cropped, padded and binned, the pixels still tell theirs."""
    panel = ip.measured.Panel((4, n), (1.0, 0.5), (0.0, 3.25))
    x = np.broadcast_to(panel.positions(), (2, 4, n)).copy()
    for part, new in (
        ip.measured.crop(x, panel, rows=(1, 3), columns=(2, 7)),
        ip.measured.bin_pixels(x, panel, 2),
        ip.measured.bin_pixels(*ip.measured.crop(x, panel, columns=(1, 8)), 3),
    ):
        assert part.shape[1:] == new.shape
        assert np.allclose(part, new.positions())
    wide, new = ip.measured.pad(x, panel, (2, 3), mode="reflect")
    assert np.allclose(wide[..., 2:-3], new.positions()[2:-3]) and new.shape == (4, n + 5)
    y = np.broadcast_to(panel.positions(0)[:, None], (2, 4, n)).copy()
    part, new = ip.measured.bin_pixels(*ip.measured.crop(y, panel, rows=(1, 4)), 3)
    assert np.allclose(part[..., 0], new.positions(0))


def test_cropped_and_binned_data_are_those_of_the_operator_there() -> None:
    A = ip.JosephTransform((32, 32), HALF[::9], n_det=60, det_spacing=0.7, det_shift=2.0, dtype="float64")
    x = ip.problem("ct", size=32, views=4)[2].astype(np.float64)
    b, panel = ip.measured.crop(A.apply(x), ip.measured.Panel((60,), (0.7,), (2.0,)), columns=(8, 55))
    there = ip.JosephTransform(
        (32, 32), HALF[::9], n_det=47, det_spacing=0.7, det_shift=panel.det_shift[0], dtype="float64"
    )
    assert np.allclose(there.apply(x), b)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.correct_hardening(LENGTHS, [1.0, -0.1]), "expected a polynomial that grows over the data"),
        (lambda m: m.correct_hardening(LENGTHS, [np.nan]), "coefficients is"),
        (lambda m: m.fit_hardening(LENGTHS, LENGTHS[1:]), "lengths has shape"),
        (lambda m: m.fit_hardening(LENGTHS, -LENGTHS), "lengths are from"),
        (lambda m: m.fit_hardening(LENGTHS, LENGTHS, 1), "degree is 1; expected an integer from 2 to 6"),
        (lambda m: m.paganin(X, delta_beta=1, energy=1, distance=1, pixel_size=1), "entries that are not positive"),
        (lambda m: m.paganin(abs(X), delta_beta=0, energy=1, distance=1, pixel_size=1), "delta_beta is 0"),
        (lambda m: m.paganin(abs(X), delta_beta=1, energy=-1, distance=1, pixel_size=1), "a positive number of keV"),
        (lambda m: m.paganin(abs(X), delta_beta=1, energy=1, distance=1, pixel_size=(1, 2, 3)), "pixel_size is"),
        (lambda m: m.crop(X, PANEL, rows=(3, 3)), r"rows is \(3, 3\); expected \(first, last\)"),
        (lambda m: m.crop(X, PANEL, columns=(0, 10)), "columns is"),
        (lambda m: m.crop(X[:, 0], PANEL), r"x has shape \(3, 9\); the panel is \(6, 9\)"),
        (lambda m: m.crop(X, (6, 9)), "panel is tuple; expected a Panel"),
        (lambda m: m.bin_pixels(X, PANEL, 7), "by is 7; expected an integer from 1 to 6 of the panel"),
        (lambda m: m.pad(X, PANEL, -1), "columns is -1"),
        (lambda m: m.pad(X, PANEL, 1, mode="wrap"), "mode is 'wrap'; expected one of"),
        (lambda m: m.Panel((4,), (0.0,), (0.0,)), "det_spacing is"),
    ],
)
def test_refused(call, words: str) -> None:  # noqa: ANN001
    with pytest.raises((TypeError, ValueError), match=words):
        call(ip.measured)
