"""The experiments of equivariant networks, small: what they say of orientation is so by construction."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ipbox as ip
from tests.bench.equivariance import ct, denoising, scans, trials
from tests.bench.equivariance.trials import Trials

SIZE, VIEWS = 32, 10
SMALL = {"niter": 2, "width": 8, "memory": 1}


def test_few_scans() -> None:
    """After some steps the equivariant map is as good for a turned scan as for the same scan upright, to rounding."""
    data, held_out = (scans.scans("train", slices, (0,), SIZE, VIEWS) for slices in ((20, 30), (5,)))
    lost = {}
    for competitor in ("ordinary", "equivariant"):
        start = ct.network(competitor, data.A, 0, **SMALL)
        before = ct.figure(start, held_out)
        model, result = ct.trained(start, data, 0, steps=60, held_out=held_out)
        assert -result.best > before + 0.1
        turned = scans.Scans(data.A, turned_data(held_out.b), np.rot90(held_out.x, -1, (1, 2)))
        assert np.allclose(data.A.apply(turned.x), turned_data(data.A.apply(held_out.x)), atol=1e-3)
        lost[competitor] = abs(ct.figure(model, held_out) - ct.figure(model, turned))
    assert lost["equivariant"] < 2e-3 < 0.02 < lost["ordinary"]


def turned_data(b: np.ndarray) -> np.ndarray:
    """Ten views over half a turn: a quarter turn of the image moves them by five, some to the other side."""
    return np.concatenate([b[:, 5:], b[:, :5, ::-1]], axis=1)


def test_few_heads() -> None:
    """The same for denoisers, whose noise turns with the image."""
    x = denoising.heads("train", (10,))
    noisy = torch.from_numpy(x + np.float32(0.1) * np.random.default_rng(0).standard_normal(x.shape, np.float32))[
        :, None
    ]
    error = {}
    for competitor in ("ordinary", "equivariant"):
        model, _ = denoising.trained(denoising.network(competitor, 0), x, 0, steps=3)
        with torch.no_grad():
            u, v = model(noisy), model(noisy.rot90(1, (-2, -1))).rot90(-1, (-2, -1))
        error[competitor] = float((u - v).norm() / u.norm())
    assert error["equivariant"] < 1e-5 < 1e-3 < error["ordinary"]


def test_records_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that was trained is read the second time; the table has every figure."""
    monkeypatch.setattr(trials, "BUILD", tmp_path)
    calls = []

    def train(competitor: str, n: int, seed: int, checkpoint: Path) -> tuple:
        calls.append((competitor, n, seed))
        return (competitor, n, seed), dataclasses.make_dataclass("R", ["steps", "best_step", "best"])(10, 10, -30.0)

    def tested(model: tuple) -> dict[str, float]:
        competitor, n, seed = model
        up = 30.0 + np.log10(n) + 0.1 * seed + (0.5 + 0.01 * seed) * (competitor == "equivariant")
        return {"upright": up, "turned": up - 0.6 * (competitor == "ordinary"), "oblique": up}

    small = Trials("toy", (2, 5), (0, 1, 2), train, tested)
    runs = small.compute()
    assert small.compute() == runs and len(calls) == 18 and not list(tmp_path.glob("*.tmp"))
    found = {name: value for name, _, _, value, _ in small.rows(json.loads(json.dumps(runs)), "scans")}
    assert found["2 scans: equivariant above ordinary, standard errors"] == pytest.approx(0.51 / (0.01 / 3**0.5))
    assert found["ordinary: lost on turned scans, dB"] == pytest.approx(0.6)
    assert found["equivariant, 5 scans: PSNR, dB"] == pytest.approx(30.0 + np.log10(5) + 0.1 + 0.51)


def test_turned() -> None:
    u = np.random.default_rng(0).random((6, 6))
    assert (scans.turned(u, 90) == ip.groups.Rotations(4).element(1)(u)).all()


def test_the_demonstration_shows_what_is_stored() -> None:
    stored = json.loads((Path(ct.__file__).parent / "results" / "ct.json").read_text())["result"]["runs"]
    assert json.loads(ct.STORED.read_text())["runs"] == ct.shown(stored)
