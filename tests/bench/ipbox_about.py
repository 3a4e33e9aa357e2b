"""Versions and thread counts of the ipbox side."""

from importlib.metadata import version


def versions() -> dict[str, str]:
    import numba

    import ipbox

    names = ("numpy", "scipy", "numba", "finufft", "pylops", "pyproximal")
    found = {"ipbox": getattr(ipbox, "__version__", "source tree"), **{n: version(n) for n in names}}
    return {**found, "numba threads": str(numba.get_num_threads())}
