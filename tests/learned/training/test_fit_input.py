"""`fit` under attack: models, data, losses and functions of all kinds either train or are refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import SURE, Denoising, PerOperator, Supervised
from ipbox.learned.weights import load_weights, save_weights
from ipbox.solvers.core.divergence import Diverged
from tests.learned.training.runs import SETTINGS, mse, plain, samples, weights


class Wrapped(nn.Module):
    """A linear layer, and what ``f`` makes of it and of its input."""

    def __init__(self, f: Callable, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.f, self.layer = f, nn.Linear(4, 2) if layer is None else layer

    def forward(self, x: torch.Tensor, sigma: object = None) -> object:
        return self.f(self.layer, x)


def arrays(dtype: str, n: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(4).astype(dtype), rng.standard_normal(2).astype(dtype)) for _ in range(n)]


def lazy() -> nn.Module:
    return nn.LazyLinear(2)


def filled(value: float) -> nn.Module:
    model = nn.Linear(4, 2)
    nn.init.constant_(model.bias, value)
    return model


HUGE = dict(optimizer=lambda p: torch.optim.SGD(p, lr=1e38), schedule=None)


def steep(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """One huge step of which leaves weights that are not finite, although it is."""
    return 1e3 * mse(model, batch, generator)


# ---------------------------------------------------------------- models and data that train


@pytest.mark.parametrize(
    "f",
    [
        lambda layer, x: layer(x.mul_(0.5)),  # its input
        lambda layer, x: layer(x).mul_(0.5),  # its result
        lambda layer, x: torch.relu_(layer(x) + 1),
    ],
)
def test_models_that_work_in_place(f: Callable) -> None:
    """With samples that are tensors or read-only arrays, one batch for all, and a validation: the data stay."""
    fixed = tuple(np.broadcast_to(np.float32(1), n) for n in (4, 2))
    held = [tuple(torch.ones(1, n) for n in (4, 2))]
    for data in ([fixed, fixed], lambda generator: held[0]):
        fit(Wrapped(f), Supervised(), data, steps=4, validation=held, validate_every=2)
        assert all(bool((t == 1).all()) for t in (*held[0], *map(torch.tensor, fixed)))
    tensors = samples(2)
    fit(Wrapped(f), Supervised(), tensors, steps=4)
    assert all(torch.equal(a, b) for x, y in zip(tensors, samples(2), strict=True) for a, b in zip(x, y, strict=True))


def test_data_that_are_no_plain_arrays() -> None:
    flipped = [tuple(t[::-1] for t in sample) for sample in arrays("float32")]
    swapped = [tuple(t.astype(">f4") for t in sample) for sample in arrays("float32")]
    columns = torch.utils.data.TensorDataset(torch.ones(6, 4), torch.ones(6, 2))
    learning = [tuple(torch.ones(n, requires_grad=True) for n in (4, 2))]
    for data in (flipped, swapped, columns, learning):
        fit(nn.Linear(4, 2), Supervised(), data, steps=3)
    assert all(t.grad is None for t in learning[0])
    fit(nn.Linear(4, 2).half(), Supervised(), arrays("float16"), steps=2, lr=1e-4)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, lambda i: np.array(i), torch.tensor])
def test_integers_among_the_data(kind: Callable) -> None:
    """The index of the operator of a sample."""
    one = [c * ip.Identity((4, 4), "float32") for c in (1.0, 2.0)]
    net, b = LearnedProximalGradient(one[0], niter=1, width=2), np.ones((4, 4), "float32")
    data = [(kind(i), b, b) for i in (0, 1)]
    assert fit(net, PerOperator(Supervised(), one), data, steps=2, batch_size=2).steps == 2


def test_numpy_numbers_everywhere() -> None:
    result = fit(
        nn.Linear(4, 2),
        plain,
        samples(),
        steps=np.int64(4),
        batch_size=np.uint8(2),
        validation=lambda m: np.float32(1),
        validate_every=np.int32(2),
        early_stopping=np.int64(3),
        clip=np.float32(1),
        lr=np.float64(0.1),
        seed=np.int64(3),
        schedule=lambda k, n: np.float32(0.5),
    )
    assert [row["factor"] for row in result.history] == [0.5, 0.5] and result.best == 1


def test_tensors_as_numbers() -> None:
    given = dict(schedule=lambda k, n: torch.tensor(0.25), validation=lambda m: torch.ones(1))
    result = fit(nn.Linear(4, 2), plain, samples(), steps=2, **given)
    assert result.history[-1]["factor"] == 0.25 and result.best == 1


def test_a_rate_of_zero_leaves_the_weights() -> None:
    for still in (dict(optimizer=lambda p: torch.optim.SGD(p, lr=0.0)), dict(schedule=lambda k, n: 0)):
        model = nn.Linear(4, 2)
        before = weights(model)
        fit(model, plain, samples(), steps=2, **still)
        assert torch.equal(weights(model), before)


def test_compiled_models(tmp_path: Path) -> None:
    """They train as they are, and files do not tell: a run goes on, and weights are read, with or without."""

    def model(compiled: bool) -> nn.Module:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        return torch.compile(net, backend="eager") if compiled else net

    given, found = SETTINGS | {"schedule": None}, []
    for k, (first, second) in enumerate([(False, False), (True, False), (False, True)]):
        path = tmp_path / f"{k}.safetensors"
        fit(model(first), mse, samples(), **given | {"steps": 4}, checkpoint=path)
        net = model(second)
        assert fit(net, mse, samples(), **given | {"steps": 8}, checkpoint=path).steps == 8
        save_weights(path, net, {})
        found.append(weights(load_weights(path, model(not second))))
    assert torch.allclose(found[0], found[1], atol=1e-6) and torch.allclose(found[0], found[2], atol=1e-6)


def test_buffers_may_be_infinite() -> None:
    """A mask of -inf, as in attention; weights that become so are no less refused."""
    model = nn.Linear(4, 2)
    model.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    assert fit(model, plain, samples(), steps=2).steps == 2
    with pytest.raises(Diverged, match="a weight of Linear is not finite in step 1"):
        fit(model, steep, samples(), steps=1, **HUGE)


@pytest.mark.parametrize("validate_every", [1, 100])
def test_weights_not_finite_after_one_step_are_undone(tmp_path: Path, validate_every: int) -> None:
    model, path = nn.Linear(4, 2), tmp_path / "run.safetensors"
    before = weights(model)
    with pytest.raises(Diverged, match="not finite in step [12]"):
        fit(model, steep, samples(), steps=9, validate_every=validate_every, checkpoint=path, **HUGE)
    assert torch.equal(weights(model), before) and not path.exists()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("loss", [Supervised(), Denoising((0.1, 0.2)), SURE(0.1)])
@pytest.mark.parametrize("f", [lambda u: (u, u), lambda u: {"u": u}, lambda u: [u], lambda u: None])
def test_models_that_give_no_tensor(loss: Callable, f: Callable) -> None:
    model = Wrapped(lambda layer, x: f(layer(x)), nn.Linear(4, 4))
    with pytest.raises(TypeError, match="^what model gives is (tuple|dict|list|NoneType); expected a torch tensor"):
        fit(model, loss, [(torch.ones(4), torch.ones(4))], steps=1)


@pytest.mark.parametrize("loss", [Supervised(), Denoising((0.1, 0.2)), SURE(0.1)])
def test_shapes_are_not_broadcast(loss: Callable) -> None:
    model = Wrapped(lambda layer, x: layer(x)[:, :1], nn.Linear(4, 4))
    with pytest.raises(ValueError, match=r"^model gives shape \(1, 1\)"):
        fit(model, loss, [(torch.ones(4), torch.ones(4))], steps=1)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"model": lambda: nn.Linear(4, 2).requires_grad_(False)}, ValueError, "model is Linear, of no parameter that"),
        ({"model": lazy}, ValueError, "model has weight of no shape yet"),
        ({"model": lambda: nn.Linear(4, 2, device="meta")}, ValueError, "model has weight on the device meta"),
        ({"model": lambda: filled(math.nan)}, ValueError, "model has values in bias that are not finite"),
        ({"model": lambda: filled(math.inf)}, ValueError, "model has values in bias that are not finite"),
        ({"data": []}, ValueError, "data is empty; expected a sequence"),
        ({"data": torch.ones(0, 4)}, ValueError, "data is empty"),
        ({"data": {"b": 1}}, ValueError, "data is dict; expected a sequence"),
        ({"data": (sample for sample in [])}, TypeError, "data is generator"),
        ({"data": [([1.0], [2.0])]}, TypeError, "data gives something else than tensors"),
        ({"data": arrays("float64")}, TypeError, "data is torch.float64, the parameters of Linear are torch.float32"),
        ({"data": arrays("int64")}, TypeError, "data is torch.int64, the parameters of Linear are torch.float32"),
        ({"model": lambda: nn.Linear(4, 2).double()}, TypeError, "data is torch.float32, .* by model.to.torch.float32"),
        ({"data": [tuple(t * math.nan for t in samples(1)[0])]}, Diverged, "loss of Linear is not finite in step 1"),
        ({"data": [(torch.ones(0, 4), torch.ones(0, 2))]}, Diverged, "loss of Linear is not finite in step 1"),
        ({"lr": 0.0}, ValueError, "lr is 0.0; expected a positive number"),
        ({"lr": math.nan}, ValueError, "lr is nan"),
        ({"schedule": lambda k, n: None}, ValueError, "what schedule gives in step 0 is None; expected zero or a pos"),
        ({"schedule": lambda k, n: math.nan}, ValueError, "what schedule gives in step 0 is nan"),
        ({"schedule": lambda k, n: -1}, ValueError, "what schedule gives in step 0 is -1"),
        ({"validation": lambda m: None}, TypeError, "validation gives NoneType; expected a number"),
        ({"validation": lambda m: torch.ones(2)}, TypeError, "validation gives Tensor; expected a number"),
        ({"validation": lambda m: math.nan}, Diverged, "validation of Linear is not finite"),
        (
            {"optimizer": lambda p: torch.optim.SGD(nn.Linear(4, 2).parameters())},
            ValueError,
            "not the model's to train",
        ),
        ({"callbacks": lambda step, model: None}, TypeError, "callbacks is function; expected a sequence"),
        ({"loss": lambda m, b, g: m(b[0])[0]}, TypeError, "loss does not return a real scalar tensor"),
    ],
)
def test_bad_input(change: dict, error: type, match: str) -> None:
    given = {"model": lambda: nn.Linear(4, 2), "loss": plain, "data": samples(), "steps": 2, **change}
    model = given.pop("model")()
    with pytest.raises(error, match=match) as found:
        fit(model, **given)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("optimizer", [None, lambda p: torch.optim.SGD(p, lr=0.1)])
def test_sparse_gradients(optimizer: Callable | None) -> None:
    net = nn.Sequential(nn.Embedding(5, 2, sparse=True), nn.Linear(2, 1))
    data = [(torch.tensor(k), torch.ones(1)) for k in range(5)]
    with pytest.raises(TypeError, match="the gradient of 0.weight is sparse; expected dense ones, as of sparse=False"):
        fit(net, plain, data, steps=1, optimizer=optimizer)
    fit(nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 1)), plain, data, steps=1)
