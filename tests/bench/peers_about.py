"""Versions and thread counts of the peers."""

from importlib.metadata import version


def versions() -> dict[str, str]:
    import torch
    from threadpoolctl import threadpool_info

    names = ("numpy", "pylops", "pyproximal", "astra-toolbox", "scikit-image", "odl", "torch", "deepinv")
    blas = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    threads = {"torch threads": str(torch.get_num_threads()), "BLAS threads": str(blas)}
    return {**{n: version(n) for n in names}, **threads}
