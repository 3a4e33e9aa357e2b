"""Networks act on images: maps of flat operators need the image's shape."""

import numpy as np
import pytest

from ipbox import learned

MATRIX = np.random.default_rng(0).standard_normal((40, 64)).astype("float32")
MAPS = {
    "PostProcessing": lambda **o: learned.PostProcessing(MATRIX, 4, 2, filter=None, **o),
    "AUTOMAP": lambda **o: learned.AUTOMAP(MATRIX, width=2, **o),
    "LearnedProximalGradient": lambda **o: learned.LearnedProximalGradient(MATRIX, niter=2, width=4, **o),
    "DeepEquilibrium": lambda **o: learned.DeepEquilibrium(MATRIX, network="residual", width=4, niter=3, **o),
    "VariationalNetwork": lambda **o: learned.VariationalNetwork(MATRIX, stages=2, filters=2, size=3, **o),
    "LISTA": lambda **o: learned.LISTA(MATRIX, niter=2, **o),
}


@pytest.mark.filterwarnings("ignore:.*fixed point")
@pytest.mark.parametrize("name", MAPS)
def test_maps_of_a_matrix_with_the_shape(name):
    x, _ = MAPS[name](shape=(8, 8)).reconstruct(MATRIX @ np.ones(64, "float32"))
    assert x.shape == (8, 8)


@pytest.mark.parametrize("name", [name for name in MAPS if name != "LISTA"])
def test_and_without(name):
    with pytest.raises(ValueError, match=r"^A is flat, of 64 numbers"):
        MAPS[name]()
