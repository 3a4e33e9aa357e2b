"""Names that do not exist, and those that are there without torch."""

from __future__ import annotations

import pytest

import ipbox as ip
from tests.house.test_imports import cold

WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "torch" else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RayTransfrom", "ip.RayTransform$"),
        ("ray_transform", "ip.RayTransform$"),
        ("fista", r"ip.FISTA, a solver: ip.solve\(problem, ip.FISTA\(\)\)$"),
        ("Admm", r"ip.ADMM, a solver: ip.solve\(problem, ip.ADMM\(\)\)$"),
        ("IRcgls", "ip.CGLS or ip.cgls$"),
        ("PRtomo", r'ip.problem\("ct"\)$'),
        ("iradon", "ip.fbp$"),
        ("IRhtv", "ip.tv$"),
        ("paralleltomo", "ip.RayTransform$"),
        ("l_curve", 'lam="l_curve" of ip.tikhonov, or of ip.tv$'),
        ("psnrr", "ip.psnr$"),
    ],
)
def test_unknown_name_of_the_package(name: str, expected: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'ipbox' has no attribute '{name}'; expected {expected}"):
        getattr(ip, name)


@pytest.mark.parametrize(
    ("room", "name", "expected"),
    [
        ("choose", "lcurve", "ip.choose.l_curve"),
        ("learned", "Unet", "ip.learned.UNet"),
        ("bilevel", "Maid", "ip.bilevel.MAID"),
        ("evaluate", "worst_pertubation", "ip.evaluate.worst_perturbation"),
        ("bayes", "Ula", "ip.bayes.ULA"),
        ("operators", "GausianBlur", "ip.operators.GaussianBlur"),
    ],
)
def test_unknown_name_of_a_room(room: str, name: str, expected: str) -> None:
    with pytest.raises(AttributeError, match=f"'{name}'; expected {expected}$"):
        getattr(getattr(ip, room), name)


def test_what_is_like_nothing_is_not_guessed() -> None:
    with pytest.raises(AttributeError, match="^module 'ipbox' has no attribute 'frobnicate'$"):
        ip.frobnicate  # noqa: B018
    assert not hasattr(ip, "__wrapped__")


def test_help_and_star_without_torch() -> None:
    code = (
        WITHOUT_TORCH + "import pydoc, ipbox\n"
        "exec('from ipbox import *')\n"
        "assert 'torch' not in sys.modules and 'tv' in globals() and 'pnp' not in dir(ipbox)\n"
        "assert 'RayTransform' in pydoc.render_doc(ipbox)\n"
        "try: ipbox.pnp\n"
        "except ImportError as err: print(err)\n"
    )
    assert cold(code).strip() == "torch is not installed: pip install 'ipbox[learned]' brings it"
