"""Every training of every small regulariser: the objective falls, and held-out images are denoised better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ipbox.learned.weights.modules import load_weights
from tests.bench.learned.trainings import __main__ as script
from tests.bench.learned.trainings import table
from tests.bench.learned.trainings.architectures import ARCHITECTURES, network, pairs
from tests.bench.learned.trainings.quality import best_weight, denoised, descent, proved, quality
from tests.bench.learned.trainings.table import TRAININGS, figures

STEPS = {
    "adversarial": 40,
    "difference": 40,
    "multi-step": 10,
    "bilevel, MAID": 4,
    "bilevel, L-BFGS-B": 5,
    "bilevel, unrolled": 8,
}
FAST = [("CRR", "difference"), ("CRR", "bilevel, MAID"), *((name, "multi-step") for name in ARCHITECTURES)]
PAIRS = [
    pytest.param(name, training, marks=() if (name, training) in FAST else pytest.mark.slow)
    for name in ARCHITECTURES
    for training in TRAININGS
]


@pytest.mark.parametrize(("name", "training"), PAIRS)
def test_each_pair_learns(name, training):
    """Against the noisy images where λ is fitted afterwards; against the network before where it is learned with."""
    before = quality(network(name), ARCHITECTURES[name].lam)
    found = TRAININGS[training].train(name, STEPS[training])
    assert found.objective[-1] < found.objective[0] and found.work > 0
    after = figures(found)
    if found.lam is None:
        x, b = pairs("held out")
        assert after["held out"] > -10 * np.log10(((b - x) ** 2).mean()) + 0.15
    else:
        assert after["held out"] > before["held out"] + 0.05 and after["training"] > before["training"] + 0.05
        assert after["proved"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_descends_comes_to_the_minimiser_that_is_proved(name):
    net, lam, b = network(name), ARCHITECTURES[name].lam, pairs("training")[1][:2]
    assert proved(net, lam)
    errors = np.linalg.norm((denoised(net, lam, b) - descent(net.double(), lam, b)).reshape(2, -1), axis=1)
    assert errors.max() < 0.02


def test_a_large_weight_of_the_critic_is_not_proved():
    net, b = network("critic"), pairs("training")[1][:2]
    assert proved(net, 1.0) and not proved(net, 1.2)
    assert np.isfinite(denoised(net, 1.2, b)).all()


def test_the_fitted_weight_is_better_than_others():
    net, (x, b) = network("FoE"), pairs("training")
    lam = best_weight(net)
    errors = [((denoised(net, factor * lam, b) - x) ** 2).mean() for factor in (1 / 1.25, 1.0, 1.25)]
    assert errors[1] == min(errors)


def test_crops_that_are_held_out_are_none_of_training():
    training, held_out = (pairs(split)[0] for split in ("training", "held out"))
    assert len(training) == 8 and len(held_out) == 6
    distances = np.linalg.norm((training[:, None] - held_out[None]).reshape(8, 6, -1), axis=2)
    assert distances.min() > 1


def test_a_training_that_was_stopped_goes_on(tmp_path: Path):
    whole = TRAININGS["bilevel, MAID"].train("FoE", 3)
    path = tmp_path / "run.npz"
    TRAININGS["bilevel, MAID"].train("FoE", 1, checkpoint=path)
    again = TRAININGS["bilevel, MAID"].train("FoE", 3, checkpoint=path)
    assert again.objective == whole.objective
    pairs_of = zip(whole.net.parameters(), again.net.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs_of)


def test_the_command_writes_weights(tmp_path: Path, capsys):
    out = tmp_path / "crr.safetensors"
    script.main(["CRR", "--training", "difference", "--steps", "20", "--out", str(out)])
    assert "held out: " in capsys.readouterr().out
    expected = TRAININGS["difference"].train("CRR", 20).net
    u = torch.rand(2, 1, 9, 8)
    assert torch.equal(load_weights(out)(u), expected(u))
    with pytest.raises(SystemExit):
        script.main(["CRR", "--training", "none"])


def test_rows_tell_each_pair(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(table, "BUILD", tmp_path)
    monkeypatch.setattr(table, "BUDGET", 40.0)
    monkeypatch.setattr(table, "TRAININGS", {"difference": TRAININGS["difference"]})
    result = json.loads(json.dumps(table.compute()))
    assert result["CRR"]["difference"]["work"] == 40
    names = [row[0] for row in table.rows(result)]
    assert names == [
        "trainings: CRR, difference, held-out PSNR, dB",
        "trainings: CRR, the one best on its own crops: held out above its start, dB",
    ]
    again = table.compute()
    assert again == result  # kept
