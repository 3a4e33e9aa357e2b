"""Checkpoints of `fit`: exact resume, also in another process, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import EquivariantImaging, Shifts, Supervised, Unpaired
from ipbox.learned.weights import tensor_files
from tests.learned.training.runs import SETTINGS, CrashAt, StopAt, mse, network, samples, weights


@pytest.mark.parametrize("stop", [StopAt(16), StopAt(21), CrashAt(21)], ids=["at a row", "between rows", "crash"])
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_resume_is_exact(tmp_path: Path, stop: StopAt, name: str) -> None:
    optimizer = {"Adam": None, "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}[name]
    settings = SETTINGS | {"optimizer": optimizer}
    whole, parts = network(), network()
    expected = fit(whole, mse, samples(), **settings)
    path = tmp_path / "run.safetensors"
    try:
        assert fit(parts, mse, samples(), checkpoint=path, callbacks=[stop], **settings).stop == "callback"
    except KeyboardInterrupt:
        assert isinstance(stop, CrashAt)
    other = network(seed=7)  # weights come from the file
    found = fit(other, mse, samples(), checkpoint=path, **settings)
    assert torch.equal(weights(other), weights(whole))
    drop = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (expected, found)]
    assert drop[0] == drop[1]
    assert (found.best, found.best_step, found.steps) == (expected.best, expected.best_step, 40)


SCRIPT = """
import sys
sys.path[:0] = {folders!r}
from tests.learned.training.runs import SETTINGS, mse, network, samples, weights
from ipbox.learned.training.fit import fit
model = network(seed=7)
fit(model, mse, samples(), checkpoint={path!r}, **SETTINGS)
print(weights(model).sum().item().hex())
"""


def test_resume_is_exact_in_another_process(tmp_path: Path) -> None:
    path = str(tmp_path / "run.safetensors")
    fit(network(), mse, samples(), checkpoint=path, callbacks=[StopAt(13)], **SETTINGS)
    script = SCRIPT.format(folders=[str(Path(__file__).parents[3])], path=path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    whole = network()
    fit(whole, mse, samples(), **SETTINGS)
    assert done.stdout.strip() == weights(whole).sum().item().hex()


def test_more_steps_without_a_schedule(tmp_path: Path) -> None:
    path, settings = tmp_path / "run.safetensors", SETTINGS | {"schedule": None, "validation": None}
    whole, parts = network(), network()
    fit(whole, mse, samples(), **settings)
    for steps in (17, 40):
        result = fit(parts, mse, samples(), checkpoint=path, **settings | {"steps": steps})
    assert result.steps == 40 and torch.equal(weights(parts), weights(whole))


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    model = network()
    first = fit(model, mse, samples(), checkpoint=path, **SETTINGS)
    before, trained = path.read_bytes(), weights(model)
    again = fit(model, mse, samples(), checkpoint=path, **SETTINGS)
    assert again == first and path.read_bytes() == before and torch.equal(weights(model), trained)
    fit(network(), mse, samples(), checkpoint=path, resume=False, **SETTINGS | {"seed": 5})
    assert path.read_bytes() != before


def small(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    return 0.5 * mse(model, batch, generator)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": nn.Linear(4, 2)}, "model was .* now it is"),
        ({"loss": small}, "loss was .*mse.*now it is .*small"),
        ({"loss": Supervised()}, "loss was"),
        ({"data": samples(9)}, "data was"),
        ({"data": samples(10, seed=1)}, "data was"),
        ({"seed": 4}, "seed was 3, now it is 4"),
        ({"clip": None}, "clip was 1.0, now it is null"),
        ({"lr": 2e-3}, "optimizer was"),
        ({"batch_size": 4}, "batch_size was 3, now it is 4"),
        ({"steps": 41}, "steps was 40, now it is 41"),
        ({"schedule": None}, "schedule was"),
        ({"validate_every": 4}, "validate_every was 8"),
        ({"validation": None}, "validation was"),
        ({"autocast": "bfloat16"}, "autocast was null"),
        ({"early_stopping": 2}, "early_stopping was null"),
    ],
    ids=lambda p: next(iter(p)) if isinstance(p, dict) else "",
)
def test_checkpoints_of_other_runs_are_refused(tmp_path: Path, change: dict, match: str) -> None:
    path, given = tmp_path / "run.safetensors", {"model": network(), "loss": mse, "data": samples(), **SETTINGS}
    fit(checkpoint=path, callbacks=[StopAt(3)], **given)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"is of another run: {match}"):
        fit(checkpoint=path, **given | change)
    assert path.read_bytes() == before


def test_losses_are_told_apart_by_their_arguments(tmp_path: Path) -> None:
    A = LinearMap(ip.Identity((4, 4), dtype="float32"))
    model, data = nn.Conv2d(1, 1, 3, padding=1), torch.rand(3, 1, 4, 4)
    path = tmp_path / "run.safetensors"
    fit(model, EquivariantImaging(A, Shifts()), data, steps=2, checkpoint=path)
    fit(model, EquivariantImaging(A, Shifts()), data, steps=2, checkpoint=path)
    with pytest.raises(ValueError, match="loss was"):
        fit(model, EquivariantImaging(A, Shifts(most=1)), data, steps=2, checkpoint=path)


def test_a_critic_in_a_loss_is_told_apart_by_its_weights(tmp_path: Path) -> None:
    A, critic = LinearMap(np.eye(2, dtype="float32")), nn.Linear(2, 1)
    given = dict(data=torch.rand(3, 2), steps=2, checkpoint=tmp_path / "run.safetensors")
    model = nn.Linear(2, 2)
    fit(model, Unpaired(A, critic, 1.0), **given)
    fit(model, Unpaired(A, critic, 1.0), **given)
    with torch.no_grad():
        critic.weight += 1
    with pytest.raises(ValueError, match="loss was"):
        fit(model, Unpaired(A, critic, 1.0), **given)


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    tensor_files.write(path, {"a": torch.ones(1)}, {})
    with pytest.raises(ValueError, match="is not one of fit"):
        fit(network(), mse, samples(), checkpoint=path, **SETTINGS)
    torch.save({"a": 1}, path)
    with pytest.raises(ValueError, match="is a pickle file"):
        fit(network(), mse, samples(), checkpoint=path, **SETTINGS)


def test_a_damaged_header_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Whichever byte: the run goes on, or a ValueError names the file."""
    path = tmp_path / "run.safetensors"
    fit(network(), mse, samples(), checkpoint=path, **SETTINGS)
    content = path.read_bytes()
    for place in range(0, 8 + int.from_bytes(content[:8], "little"), 23):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            fit(network(), mse, samples(), checkpoint=path, callbacks=[StopAt(1)], **SETTINGS)
        except ValueError as err:
            assert "\n" not in str(err) and "run.safetensors" in str(err), place


def test_an_unwritable_checkpoint_is_met_before_training() -> None:
    with pytest.raises(OSError, match=r"^checkpoint is /proc/run\.safetensors, which cannot be written: "):
        fit(network(), mse, samples(), checkpoint="/proc/run.safetensors", callbacks=[CrashAt(1)], **SETTINGS)
