"""Whether data are told from those of training: another scale, more noise, an object that leaves the field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox.evaluate import DomainStatistics, OutsideDomain, check_domain, domain_statistics
from ipbox.io.hounsfield import hu_to_attenuation
from ipbox.learned import pretrained
from ipbox.learned.weights.domains import domain_of
from ipbox.learned.weights.modules import SHIPPED
from ipbox.problems.measuring.noise import gaussian
from ipbox.problems.truths.datasets import field_of_view


def problem(k: int) -> tuple:
    return ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k)


A, B, X, _ = problem(30)


def phi(b: np.ndarray) -> np.ndarray:
    return ip.fbp(A, b)[0]


@pytest.fixture(scope="module")
def training() -> DomainStatistics:
    return domain_statistics(phi, [problem(k) for k in range(20, 44, 4)])


@pytest.mark.parametrize("k", [22, 30, 38])
def test_other_slices_of_the_same_kind_are_inside(training: DomainStatistics, k: int) -> None:
    found = check_domain(phi, A, problem(k)[1], training)
    assert found.inside and found.score <= 5
    r = A.apply(phi(problem(k)[1])) - problem(k)[1]
    assert found.consistency == pytest.approx(np.linalg.norm(r) / np.linalg.norm(problem(k)[1]), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (lambda: 3 * B, "scale"),
        (lambda: gaussian(B, 0.2)[0], "noise"),
        (lambda: A.apply(np.kron(X[12:20, 12:20], np.ones((4, 4), "f4")) + X.max() / 2), "edge"),
        (lambda: A.apply(np.where(np.indices(X.shape).sum(0) == 31, X.max(), 0).astype("f4")), "fill"),
    ],
)
def test_what_is_not_of_the_kind_is_told(training: DomainStatistics, change: object, feature: str) -> None:
    found = check_domain(phi, A, change(), training)
    assert not found.inside and found.deviations[feature] > 3


def test_bad_input(training: DomainStatistics) -> None:
    with pytest.raises(ValueError, match="b vanishes"):
        check_domain(phi, A, 0 * B, training)
    with pytest.raises(ValueError, match="problems has 1; expected at least 3"):
        domain_statistics(phi, [problem(20)])


# ---------------------------------------------------------------- shipped networks


def scan(pixel_size: float = 2.5, views: int = 40, x: np.ndarray | None = None) -> tuple[ip.RayTransform, np.ndarray]:
    """A chest slice of the test patient, or another image, with 1 % noise."""
    x = ip.problem("ct", size=128, views=2, slice=28)[2] if x is None else x
    angles = np.arange(views) * np.pi / views
    A = ip.RayTransform(x.shape, angles, pixel_size=pixel_size, dtype="float32")
    return A, gaussian(A.apply(x), 0.01, 1)[0]


def spine() -> tuple[np.ndarray, float]:
    """A spine that fills a zoomed field of view, the CT image of pydicom, as attenuation; and its pixels' width."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    image = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    hu = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    x = hu_to_attenuation(hu) * field_of_view((128, 128))
    return x.astype("float32"), float(image.PixelSpacing[0])


@pytest.mark.parametrize("slice", [20, 28, 45])
def test_a_chest_is_on_the_ground_of_a_shipped_map(slice: int) -> None:
    A, b, _, _ = ip.problem("ct", size=128, views=40, noise=0.01, slice=slice, seed=slice)
    net = pretrained("post_processing_ct", A)
    assert "chests that fill the field" in repr(net) and net.domain.words in repr(net)
    (found,) = net.reconstruct(b)[1].parameters["domain"]  # a warning would be an error here
    assert found.inside and found.off == () and 0 < found.score <= 5


def test_a_zoomed_spine_is_warned_of_once() -> None:
    x, width = spine()
    A, b = scan(width, x=x)
    net = pretrained("post_processing_ct", A)
    with pytest.warns(
        OutsideDomain, match="post_processing_ct is off the ground .*: pixels are 0.661 mm wide, 1.98 to"
    ):
        _, info = net.reconstruct(np.stack([b, b]))
    assert [("pixel size" in found.off, found.inside) for found in info.parameters["domain"]] == [(True, False)] * 2
    (found,) = net.with_operator(A).reconstruct(b)[1].parameters["domain"]  # told before
    assert "pixel size" in found.off
    assert {"roughness"} <= set(found.off)  # the image's statistics tell as well
    net.domain = None
    assert "domain" not in net.reconstruct(b)[1].parameters


@pytest.mark.parametrize(
    ("off", "change"),
    [
        ("views", lambda: scan(views=60)),
        ("image shape", lambda: scan(x=ip.problem("ct", size=96, views=2, slice=28)[2])),
        ("noise", lambda: (lambda A, b: (A, gaussian(b, 0.05)[0]))(*scan())),
        ("scale", lambda: (lambda A, b: (A, 50 * b))(*scan())),
        ("fill", lambda: scan(x=np.pad(ip.problem("ct", size=32, views=2, slice=28)[2], 48))),
        ("data", lambda: (lambda A, b: (A, 0 * b))(*scan())),
    ],
)
def test_what_is_off_is_named(off: str, change: object) -> None:
    A, b = change()
    net = pretrained("post_processing_ct", A)
    with pytest.warns(OutsideDomain):
        _, info = net.reconstruct(b)
    assert off in info.parameters["domain"][0].off


def test_denoisers_state_their_ground() -> None:
    A, b, x, info = ip.problem("denoise", size=32)
    net = pretrained("non_expansive")
    ip.pnp(A, b, net, noise_level=info.noise_level, niter=2)
    with pytest.warns(OutsideDomain, match=r"non_expansive is off .* values reach .*, 0.177 to 1.25 in training"):
        ip.pnp(A, 100 * b, net, sigma=1.0, niter=2, noise_level=100 * info.noise_level, scale=10.0)
    with pytest.warns(OutsideDomain, match="the noise level is 0.4, at most 0.25 in training"):
        ip.red(A, b, net, lam=0.5, sigma=0.4, niter=2)
    assert net.domain.warn(x, 0.25) == () and net.domain.told == {"scale", "noise"}


def test_every_shipped_network_has_a_domain_and_the_file_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    functionals = {name for name, file in SHIPPED.items() if "train_regularisers" in file.script}  # judged by their λ
    assert all(domain_of(name) is not None for name in set(SHIPPED) - functionals) and domain_of("mine") is None
    (tmp_path / "domains.json").write_bytes(b"{}")
    monkeypatch.setenv("IPBOX_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="domains.json has SHA-256"):
        domain_of("drunet")


# ---------------------------------------------------------------- MRI


@pytest.mark.parametrize("options", [dict(slice=11), dict(slice=6, seed=6, phase=True, coils=6)])
def test_a_head_is_on_the_ground_of_the_map_of_mri(options: dict) -> None:
    A, b, x, info = ip.problem("mri", **{"coils": 8} | options)
    net = pretrained("unrolled_mri", A)
    u, run = net.reconstruct(b)  # a warning would be an error here
    assert run.parameters["domain"][0].inside
    assert ip.psnr(u, x) > ip.psnr(ip.sense(A, b, info.noise_level)[0], x) + 2


@pytest.mark.parametrize(
    ("off", "options"),
    [
        ("acceleration", dict(acceleration=8.0)),
        ("coils", dict(coils=3)),
        ("noise", dict(noise=0.05)),
        ("image shape", dict(size=128)),
    ],
)
def test_what_is_off_of_a_head_is_named(off: str, options: dict) -> None:
    A, b, _, _ = ip.problem("mri", **{"coils": 8} | options)
    with pytest.warns(OutsideDomain, match="unrolled_mri is off the ground"):
        _, run = pretrained("unrolled_mri", A).reconstruct(b)
    assert off in run.parameters["domain"][0].off
