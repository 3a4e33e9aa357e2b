"""`fit`: known optima, seeds, validation, early stopping, divergence, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox import files
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import Supervised
from ipbox.learned.weights import tensor_files
from ipbox.solvers.core.divergence import Diverged
from tests.learned.training.runs import SETTINGS, VALIDATION, mse, network, plain, samples, weights

# ---------------------------------------------------------------- what it finds


def test_reaches_the_least_squares_solution() -> None:
    rng = np.random.default_rng(0)
    B, X = rng.standard_normal((40, 5)), rng.standard_normal((40, 3))
    model = nn.Linear(5, 3, bias=False).double()
    data = list(zip(torch.tensor(B), torch.tensor(X), strict=True))
    fit(model, Supervised(), data, steps=300, batch_size=40, lr=0.05)
    solution = np.linalg.lstsq(B, X, rcond=None)[0]
    assert np.abs(model.weight.detach().numpy().T - solution).max() < 1e-6


def test_is_gradient_descent_where_asked_to() -> None:
    model = nn.Linear(4, 2, bias=False)
    w = model.weight.detach().clone().requires_grad_()
    data = samples(3)
    fit(model, plain, data, steps=2, batch_size=3, optimizer=lambda p: torch.optim.SGD(p, lr=0.1), schedule=None)
    x, y = (torch.stack(column) for column in zip(*data, strict=True))
    for _ in range(2):
        (g,) = torch.autograd.grad((x @ w.T - y).square().mean(), w)
        w = (w - 0.1 * g).detach().requires_grad_()
    assert torch.allclose(model.weight, w, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("cosine", [(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]),
        (None, [1, 1, 1, 1]),
        (lambda k, steps: k / steps, [0, 0.25, 0.5, 0.75]),
    ],
)
def test_schedule(schedule: object, factors: list[float]) -> None:
    model, moved = nn.Linear(1, 1, bias=False), []
    before = [model.weight.item()]

    def note(step: int, model: nn.Module) -> None:
        moved.append(before[0] - model.weight.item())
        before[0] = model.weight.item()

    def slope(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        return model.weight.sum()  # gradient 1

    fit(
        model,
        slope,
        lambda generator: torch.ones(1),
        steps=4,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
        schedule=schedule,
        callbacks=[note],
    )
    assert moved == pytest.approx([0.5 * f for f in factors], abs=1e-6)


def test_clip_bounds_the_step() -> None:
    model = nn.Linear(4, 2)
    before = weights(model)
    sgd = dict(optimizer=lambda p: torch.optim.SGD(p, lr=1.0), schedule=None)
    fit(model, lambda m, b, g: 100 * plain(m, b, g), samples(), steps=1, batch_size=10, clip=0.25, **sgd)
    assert torch.linalg.norm(weights(model) - before).item() == pytest.approx(0.25, rel=1e-4)


def test_each_pass_uses_every_sample_once() -> None:
    seen = []

    def note(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        seen.append(batch[0].flatten().tolist())
        return model(batch[0]).mean()

    fit(nn.Linear(1, 1), note, torch.arange(7.0)[:, None], steps=7, batch_size=3)
    flat = sum(seen, [])
    assert all(sorted(flat[k : k + 7]) == list(range(7)) for k in (0, 7, 14)) and flat[:7] != flat[7:14]
    assert all(len(set(batch)) == 3 for batch in seen)


def test_numpy_samples_in_any_layout() -> None:
    data = [(np.arange(6.0, dtype="float32").reshape(2, 3).T, np.ones(1, "float32")) for _ in range(4)]
    shapes = set()

    def note(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        shapes.add(tuple(tuple(t.shape) for t in batch))
        return model(batch[1]).mean()

    fit(nn.Linear(1, 1), note, data, steps=3, batch_size=2)
    assert shapes == {((2, 3, 2), (2, 1))}


def test_frozen_parameters_and_others_gradients_stay() -> None:
    model, critic = network(), nn.Linear(2, 1)
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, lambda m, b, g: critic(m(b[0])).mean(), samples(), steps=3, batch_size=5)
    assert torch.equal(model[0].weight, before) and critic.weight.grad is None


def test_unused_parameters_stay() -> None:
    model = network()
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    before = weights(model)
    fit(model, plain, samples(), steps=3, batch_size=5)
    assert torch.equal(model.unused, torch.ones(2)) and not torch.equal(weights(model), before)


# ---------------------------------------------------------------- seeds and modes


def test_the_seed_decides_everything() -> None:
    runs = []
    for seed, outer in ((3, 0), (3, 1), (4, 0)):
        model = network()
        torch.manual_seed(outer)
        state = torch.get_rng_state()
        fit(model, mse, samples(), **SETTINGS | {"seed": seed})
        assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is not touched
        runs.append(weights(model))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_modes_are_those_before() -> None:
    model, modes = network().eval(), []
    model[3].train()

    def validation(m: nn.Module) -> float:
        modes.append([m.training, torch.is_grad_enabled()])
        return 1.0

    def note(m: nn.Module, b: tuple, g: torch.Generator) -> torch.Tensor:
        modes.append([m.training, torch.is_grad_enabled()])
        return plain(m, b, g)

    with torch.no_grad():  # as it may be around a call
        fit(model, note, samples(), steps=1, batch_size=5, validation=validation)
    assert modes == [[True, True], [False, False]]
    assert [m.training for m in model] == [False, False, False, True, False]


# ---------------------------------------------------------------- validation


def test_the_best_weights_are_kept() -> None:
    model, kept, values = nn.Linear(4, 2), {}, iter([3.0, 1.0, 2.0, 1.5])

    def validation(m: nn.Module) -> float:
        value = next(values)
        kept[value] = weights(m)
        return value

    result = fit(model, plain, samples(), steps=8, batch_size=5, validation=validation, validate_every=2)
    assert (result.best, result.best_step, result.steps, result.stop) == (1.0, 4, 8, "steps")
    assert [row["validation"] for row in result.history] == [3.0, 1.0, 2.0, 1.5]
    assert torch.equal(weights(model), kept[1.0])


def test_early_stopping() -> None:
    values = iter([3.0, 1.0, 2.0, 1.0, 0.5])
    result = fit(
        nn.Linear(4, 2),
        plain,
        samples(),
        steps=99,
        validation=lambda m: next(values),
        validate_every=3,
        early_stopping=2,
    )
    assert (result.stop, result.steps, result.best_step) == ("early stopping", 12, 6)


def test_validation_batches_have_the_same_noise_each_time() -> None:
    model = nn.Linear(4, 2)
    still = dict(optimizer=lambda p: torch.optim.SGD(p, lr=0.0), validation=VALIDATION, validate_every=1)
    history = fit(model, mse, samples(), steps=3, **still).history
    assert len({row["validation"] for row in history}) == 1 < len({row["loss"] for row in history})


def test_last_steps_are_recorded() -> None:
    history = fit(nn.Linear(4, 2), plain, samples(), steps=7, batch_size=10, validate_every=3, lr=1e-9).history
    assert [row["step"] for row in history] == [3, 6, 7]
    assert len({round(row["loss"], 5) for row in history}) == 1  # means, whatever the number of steps


# ---------------------------------------------------------------- divergence


def bad_from(step: int) -> object:
    """The loss is NaN from the call number ``step`` on."""
    calls = [0]

    def loss(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        calls[0] += torch.is_grad_enabled()
        return plain(model, batch, generator) * (math.nan if calls[0] >= step else 1.0)

    return loss


@pytest.mark.parametrize("validated", [True, False])
def test_nan_stops_with_good_weights(tmp_path: Path, validated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARE", 1.0)  # a checkpoint at every row
    path, model, kept = tmp_path / "run.safetensors", nn.Linear(4, 2), {}
    values = iter([1.0, 2.0])
    validation = (lambda m: next(values)) if validated else None

    def note(step: int, m: nn.Module) -> None:
        kept[step] = weights(m)

    with pytest.raises(Diverged, match="loss of Linear is not finite in step 9") as failed:
        fit(
            model,
            bad_from(9),
            samples(),
            steps=20,
            batch_size=2,
            validate_every=4,
            validation=validation,
            checkpoint=path,
            callbacks=[note],
        )
    assert failed.value.k == 9
    assert torch.equal(weights(model), kept[4 if validated else 8])  # the best, or those of the last row
    stored, _ = tensor_files.read(path)
    assert torch.equal(stored["model.weight"].flatten().double(), kept[8][:8])


def test_an_infinite_gradient_stops_before_the_step() -> None:
    def root(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        return (model.weight - model.weight.detach()).abs().sqrt().sum()  # finite, its slope is not

    model = nn.Linear(4, 2)
    before = weights(model)
    with pytest.raises(Diverged, match="gradient of the loss of Linear is not finite in step 1"):
        fit(model, root, samples(), steps=3)
    assert torch.equal(weights(model), before)


def test_weights_that_overflow_are_not_kept() -> None:
    """One huge step: the loss was finite, what it leaves is not."""

    def steep(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        return 1e3 * mse(model, batch, generator)

    model = nn.Linear(4, 2)
    before = weights(model)
    with pytest.raises(Diverged, match="a weight of Linear is not finite in step 1"):
        fit(model, steep, samples(), steps=1, optimizer=lambda p: torch.optim.SGD(p, lr=1e38), schedule=None)
    assert torch.equal(weights(model), before)


def test_data_are_not_changed_by_a_model_that_works_in_place() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.mul_(0.5))

    given, held = tuple(samples(2)[0]), [tuple(t[None] for t in samples(2)[1])]
    before = [t.clone() for t in (*given, *held[0])]
    batch = tuple(t[None] for t in given)
    fit(InPlace(), mse, lambda generator: batch, steps=2, validation=held, validate_every=1)
    assert all(torch.equal(a, b) for a, b in zip((*given, *held[0]), before, strict=True))


def test_numpy_integers_are_kept_in_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    model = network()
    fit(model, mse, samples(), steps=np.int64(2), batch_size=np.int32(3), seed=np.int64(1), checkpoint=path)
    again = network()
    fit(again, mse, samples(), steps=2, batch_size=3, seed=1, checkpoint=path, resume=True)
    assert torch.equal(weights(model), weights(again))


def test_a_validation_that_is_not_finite_stops() -> None:
    with pytest.raises(Diverged, match="validation of Linear is not finite in step 2"):
        fit(nn.Linear(4, 2), plain, samples(), steps=3, validation=lambda m: math.inf, validate_every=2)


# ---------------------------------------------------------------- progress, autocast, operators


def test_progress(capsys: pytest.CaptureFixture) -> None:
    fit(nn.Linear(4, 2), plain, samples(), steps=5, progress=True, validation=VALIDATION)
    shown = capsys.readouterr().err
    assert "Linear" in shown and "5/5" in shown and "validation=" in shown
    fit(nn.Linear(4, 2), plain, samples(), steps=5)
    assert capsys.readouterr().err == ""


def test_autocast_computes_the_loss_in_half_and_keeps_the_parameters() -> None:
    dtypes, model = set(), nn.Linear(4, 2)

    def note(m: nn.Module, b: tuple, g: torch.Generator) -> torch.Tensor:
        u = m(b[0])
        dtypes.add(u.dtype)
        return (u - b[1]).square().mean()

    fit(model, note, samples(), steps=2, autocast="bfloat16")
    assert dtypes == {torch.bfloat16} and model.weight.dtype == torch.float32


def test_callbacks_may_project_the_weights() -> None:
    def project(step: int, m: nn.Module) -> None:
        m.weight.clamp_(min=0)

    model = nn.Linear(4, 2)
    fit(model, plain, samples(), steps=30, batch_size=5, lr=0.1, callbacks=[project])
    assert model.weight.min() >= 0


def test_operators_in_the_loss_stay_on_the_device(xp: object) -> None:
    """Data consistency on a device: nothing but numbers reaches the host."""
    from tests.standin.transfers import clear_transfers, transfers

    A = ip.Gradient((8, 8), dtype="float32")
    L = LinearMap(A, xp=xp)
    model, data = nn.Conv2d(1, 1, 3, padding=1, bias=False), torch.rand(4, 1, 8, 8)

    def consistency(m: nn.Module, b: tuple, g: torch.Generator) -> torch.Tensor:
        return (L(m(b[0])) - L(b[0])).square().mean()

    fit(model, consistency, data, steps=1)  # kernels compile
    clear_transfers()
    result = fit(model, consistency, data, steps=300, batch_size=4, lr=0.03)
    assert result.history[-1]["loss"] < 0.1 * result.history[0]["loss"]
    assert transfers("D2H") == [] == transfers("H2D")


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"model": mse}, TypeError, "model is function; expected a torch.nn.Module"),
        ({"model": nn.ReLU()}, ValueError, "model is ReLU, of no parameter that requires a gradient"),
        ({"loss": 3}, TypeError, "loss is int"),
        ({"loss": lambda m, b, g: m(b[0])}, TypeError, "loss does not return a real scalar tensor"),
        ({"loss": lambda m, b, g: 1.0}, TypeError, "loss does not return a real scalar tensor"),
        ({"loss": lambda m, b, g: torch.ones(())}, ValueError, "loss does not depend on the parameters"),
        ({"data": 3}, TypeError, "data is int; expected a sequence of samples, or a function"),
        ({"data": [("a", "b")]}, TypeError, "data gives something else than tensors"),
        ({"data": lambda generator: None}, TypeError, "data gives something else than tensors"),
        ({"data": [torch.ones(2), torch.ones(3)], "batch_size": 2}, ValueError, "samples of different shapes"),
        ({"batch_size": 11}, ValueError, "batch_size is 11; expected 1 to 10"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; expected a positive integer"),
        ({"steps": 0}, ValueError, "steps is 0; expected a positive integer"),
        ({"steps": 1.5}, ValueError, "steps is 1.5"),
        ({"validate_every": True}, ValueError, "validate_every is True"),
        ({"early_stopping": 3}, ValueError, "early_stopping is given without validation"),
        ({"early_stopping": 0, "validation": VALIDATION}, ValueError, "early_stopping is 0"),
        ({"validation": []}, ValueError, "validation is empty"),
        ({"validation": 3}, TypeError, "validation is int; expected a list of batches"),
        ({"validation": torch.ones(2)}, TypeError, "validation is Tensor"),
        ({"optimizer": 3}, TypeError, "optimizer is int; expected a function"),
        ({"seed": 2**32}, ValueError, "seed is 4294967296; expected an integer from 0"),
        ({"clip": 0.0}, ValueError, "clip is 0.0; expected a positive number"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"schedule": "linear"}, ValueError, "schedule is 'linear'"),
        ({"autocast": "float16"}, ValueError, "autocast is 'float16'; expected 'bfloat16'"),
        ({"lr": 0.1, "optimizer": torch.optim.SGD}, ValueError, "lr is 0.1 beside an optimizer"),
        ({"lr": -1.0}, ValueError, "lr is -1.0; expected a positive number"),
        ({"optimizer": lambda p: None}, TypeError, "optimizer gives NoneType"),
        ({"optimizer": torch.optim.LBFGS}, TypeError, "optimizer gives LBFGS"),
        ({"checkpoint": "run.pt"}, ValueError, "checkpoint is run.pt; expected a file that ends in .safetensors"),
        ({"checkpoint": "none/run.safetensors"}, FileNotFoundError, "its folder does not exist"),
        ({"callbacks": [3]}, TypeError, "callbacks has int; expected functions"),
    ],
)
def test_bad_arguments(change: dict, error: type, match: str) -> None:
    given = {"model": nn.Linear(4, 2), "loss": plain, "data": samples(), "steps": 2, "batch_size": 1}
    with pytest.raises(error, match=match):
        fit(**given | change)
