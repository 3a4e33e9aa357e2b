"""Weights in safetensors files: round trips, and clear errors for every file that is not what it should be."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.networks.denoisers import DnCNN
from ipbox.learned.weights import modules as weights
from ipbox.learned.weights import tensor_files
from ipbox.learned.weights.modules import load_weights, pretrained, save_weights
from ipbox.problems.truths import datasets

ABOUT = {"script": "tests/test_weights.py", "data": "none"}


@pytest.fixture
def net() -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(width=4, depth=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[k], other[k]) for k in mine)


def test_round_trip(net: DnCNN, path: Path) -> None:
    sha256 = save_weights(path, net, ABOUT)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    back = load_weights(path, sha256=sha256)
    assert torch.equal(torch.get_rng_state(), state)  # building the module drew initial weights, from another generator
    assert type(back) is DnCNN and back.config == net.config and not back.training
    assert same(back, net)
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(back(x, 0.1), net(x, 0.1))


def test_metadata_can_be_read_without_the_package(net: DnCNN, path: Path) -> None:
    from safetensors import safe_open

    save_weights(path, net, ABOUT)
    with safe_open(path, "pt") as f:
        metadata = f.metadata()
    assert metadata["class"] == "DnCNN"
    assert json.loads(metadata["config"]) == net.config and json.loads(metadata["about"]) == ABOUT


def test_the_same_weights_make_the_same_file(net: DnCNN, tmp_path: Path) -> None:
    assert len({save_weights(tmp_path / f"{i}.safetensors", net, ABOUT) for i in range(2)}) == 1


def test_fills_a_given_module(net: DnCNN, path: Path) -> None:
    save_weights(path, net, ABOUT)
    other = DnCNN(width=4, depth=3).train()
    assert load_weights(path, other) is other and other.training and same(other, net)


def test_channels_last_complex_and_integer_tensors(path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    module.register_parameter("c", nn.Parameter(torch.randn(3, dtype=torch.complex64)))
    save_weights(path, module, ABOUT)
    other = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    other.register_parameter("c", nn.Parameter(torch.zeros(3, dtype=torch.complex64)))
    assert same(load_weights(path, other), module)


def test_shared_tensors_are_stored_once(path: Path) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            block = nn.Linear(50, 50)
            self.blocks = nn.ModuleList([block, block, block])

    module = Shared()
    save_weights(path, module, ABOUT)
    assert path.stat().st_size < 1.2 * 4 * (50 * 50 + 50) + 1000
    other = load_weights(path, Shared())
    assert same(other, module) and other.blocks[0] is other.blocks[2]


def test_half_is_loaded_to_float32_as_it_was_rounded(net: DnCNN, path: Path) -> None:
    save_weights(path, net, ABOUT, half=True)
    back = load_weights(path)
    for name, t in back.state_dict().items():
        assert t.dtype == torch.float32 and torch.equal(t, net.state_dict()[name].half().float())
    save_weights(path, back, ABOUT, half=True)  # rounding happens once
    assert same(load_weights(path), back)


def test_a_crash_leaves_the_old_file(net: DnCNN, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(path, net, ABOUT)
    before = path.read_bytes()

    def crash(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("os.replace", crash)
        save_weights(path, DnCNN(width=4, depth=3), ABOUT)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


# ---------------------------------------------------------------- bad files


def test_wrong_hash(net: DnCNN, path: Path) -> None:
    sha256 = save_weights(path, net, ABOUT)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"has SHA-256 .*expected {sha256}"):
        load_weights(path, sha256=sha256)


def test_a_length_of_the_header_that_looks_like_a_pickle(path: Path) -> None:
    """A safetensors file begins with it: 0x280 is how protocol 2 begins, so some notes made files unreadable."""
    begins = set()
    for n in range(380, 400):
        net = torch.nn.Conv2d(1, 4, 3)
        save_weights(path, net, {"note": "x" * n})
        begins.add(path.read_bytes()[:2])
        assert torch.equal(load_weights(path, torch.nn.Conv2d(1, 4, 3)).weight, net.weight)
    assert b"\x80\x02" in begins


@pytest.mark.parametrize("write", [torch.save, lambda t, path: path.write_bytes(pickle.dumps(t))], ids=["pt", "pickle"])
def test_pickles_are_refused(net: DnCNN, path: Path, write: object) -> None:
    write(net.state_dict(), path)
    with pytest.raises(ValueError, match="is a pickle file"):
        load_weights(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 100, (10).to_bytes(8, "little") + b"not json!!"])
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no complete safetensors file"):
        load_weights(path)


def test_half_a_file_is_refused(net: DnCNN, path: Path) -> None:
    save_weights(path, net, ABOUT)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is no complete safetensors file"):
        load_weights(path)


def test_missing_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_weights(path)


def test_wrong_names(net: DnCNN, path: Path) -> None:
    save_weights(path, net, ABOUT)
    with pytest.raises(ValueError, match=r"does not fit Linear: 2 tensors are missing \(bias, ...\), 6 unexpected"):
        load_weights(path, nn.Linear(2, 2))


def test_wrong_shapes(net: DnCNN, path: Path) -> None:
    save_weights(path, net, ABOUT)
    with pytest.raises(ValueError, match=r"has body.0.weight of shape \(4, 2, 3, 3\); the module's is \(5, 2, 3, 3\)"):
        load_weights(path, DnCNN(width=5, depth=3))


def test_wrong_dtype(net: DnCNN, path: Path) -> None:
    save_weights(path, net.double(), ABOUT)
    with pytest.raises(ValueError, match="of dtype torch.float64; the module's is torch.float32"):
        load_weights(path)


def test_a_module_is_left_as_it_was_where_a_file_does_not_fit(net: DnCNN, path: Path) -> None:
    save_weights(path, DnCNN(width=5, depth=3), ABOUT)
    before = {k: t.clone() for k, t in net.state_dict().items()}
    with pytest.raises(ValueError, match="of shape"):
        load_weights(path, net)
    assert all(torch.equal(before[k], t) for k, t in net.state_dict().items())


def test_unknown_class(path: Path) -> None:
    save_weights(path, nn.Linear(2, 2), ABOUT)
    with pytest.raises(ValueError, match="holds class 'Linear'; expected one of DnCNN"):
        load_weights(path)


def test_only_registered_classes_are_built(net: DnCNN, path: Path) -> None:
    tensor_files.write(path, net.state_dict(), {"class": "os.system", "config": "{}"})
    with pytest.raises(ValueError, match="holds class 'os.system'"):
        load_weights(path)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ('{"depth": 3, "colour": 1}', "holds arguments that make no DnCNN"),
        ('{"width": 0}', "holds arguments that make no DnCNN: width is 0"),
        ("[1]", "is no JSON object"),
        ("{", "is no JSON"),
    ],
)
def test_bad_config(net: DnCNN, path: Path, config: str, match: str) -> None:
    tensor_files.write(path, net.state_dict(), {"class": "DnCNN", "config": config})
    with pytest.raises(ValueError, match=match):
        load_weights(path)


def test_values_that_are_not_finite(net: DnCNN, path: Path) -> None:
    state = net.state_dict()
    state["body.0.bias"] = torch.full((4,), torch.nan)
    tensor_files.write(path, state, {"class": "DnCNN", "config": json.dumps(net.config)})
    with pytest.raises(ValueError, match="has values in body.0.bias that are not finite"):
        load_weights(path)


def test_save_refuses(net: DnCNN, path: Path) -> None:
    with pytest.raises(TypeError, match="module is dict; expected a torch.nn.Module"):
        save_weights(path, {}, ABOUT)
    with pytest.raises(TypeError, match="module is dict; expected a torch.nn.Module or None"):
        load_weights(path, {})
    with pytest.raises(TypeError, match="about is str"):
        save_weights(path, net, "mine")
    with pytest.raises(TypeError, match="about is not what JSON can hold"):
        save_weights(path, net, {"x": torch.ones(2)})
    with pytest.raises(ValueError, match="ends in .safetensors"):
        save_weights(path.with_suffix(".pt"), net, ABOUT)
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        save_weights(path.parent / "none" / "net.safetensors", net, ABOUT)
    with torch.no_grad():
        net.body[0].bias[0] = 1e6
    with pytest.raises(ValueError, match="not finite .in torch.float16"):
        save_weights(path, net, ABOUT, half=True)


# ---------------------------------------------------------------- shipped files


def test_pretrained_checks_the_hash(net: DnCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = save_weights(tmp_path / "mine.safetensors", net, ABOUT)
    shutil.copy(datasets.find("domains.json"), tmp_path)
    monkeypatch.setenv("IPBOX_DATA", str(tmp_path))
    monkeypatch.setitem(weights.SHIPPED, "mine", weights.Shipped("mine.safetensors", sha256, "none"))
    assert same(pretrained("mine"), net)
    (tmp_path / "mine.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match="has SHA-256"):
        pretrained("mine")
    with pytest.raises(ValueError, match="name is 'other'; expected one of"):
        pretrained("other")


def test_registered_classes_exist() -> None:
    import importlib

    for name, module in weights.CLASSES.items():
        assert issubclass(getattr(importlib.import_module(module), name), nn.Module)


def test_shipped_files_are_those_of_the_registry() -> None:
    root = Path(__file__).parents[3]
    for shipped in weights.SHIPPED.values():
        assert (root / shipped.script).is_file()
        path = root / "data" / shipped.file
        assert path.stat().st_size <= 3_000_000
        _, metadata = tensor_files.read(path, shipped.sha256)
        assert metadata["class"] in weights.CLASSES and json.loads(metadata["about"])["script"]


def test_maps_need_their_operator_and_denoisers_none() -> None:
    A = ip.problem("ct", size=16, views=8, dtype="float64")[0]
    with pytest.raises(ValueError, match=r"^A is None, and .*unrolled_ct.* holds LearnedProximalGradient, a reconstru"):
        pretrained("unrolled_ct")
    with pytest.raises(ValueError, match=r"^A is RayTransform, and .*dncnn.* holds DnCNN, which has no operator"):
        pretrained("dncnn", A)
    with pytest.raises(TypeError, match="^A is RayTransform, of real images; unrolled_mri expects complex ones"):
        pretrained("unrolled_mri", A)
    b = np.ones(A.dimsd)
    net = pretrained("unrolled_ct", A)
    net.domain = None  # it is not of this geometry
    assert net.reconstruct(b)[0].dtype == "float64"  # as its operator


def test_missing_weights_end_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ipbox.problems.truths.datasets.folders", lambda: [tmp_path], raising=True)
    told = r"^dncnn.safetensors is not in .*; expected there, in ipbox-weights .*, or in the folder I"
    with pytest.raises(FileNotFoundError, match=told):
        pretrained("dncnn")
