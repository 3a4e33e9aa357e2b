#!/usr/bin/env bash
# Non-uniform FFTs on a GPU with CUDA 13, the version that CuPy 14 and PyTorch 2.11 bring: cufinufft 2.5.1, the newest on
# PyPI, has no wheel for it.  Its one wheel names no CUDA version and declares no CUDA package among its requirements, so
# that pip installs it beside cupy-cuda13x without a word; its library is linked to CUDA 12's runtime and cuFFT, and the
# import fails where only those of CUDA 13 are there.  A good engineer would have expected a wheel for each CUDA version,
# as CuPy has, or a requirement that pip can refuse.
#
# Seen: cufinufft 2.5.1, nvidia-cuda-runtime 13.0.96, Python 3.11; no GPU is needed to see it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: \
    cufinufft==2.5.1 nvidia-cuda-runtime==13.0.96 numpy==2.4.6
"$folder/venv/bin/python" - <<'P'
import ctypes
import importlib.metadata as metadata
from pathlib import Path

requires = metadata.requires("cufinufft") or []
print("cufinufft requires:", requires)
assert not any("cuda" in r.lower() or "nvidia" in r.lower() for r in requires), "a CUDA package is required now"

site = Path(metadata.distribution("cufinufft").locate_file("."))
runtime = next(site.rglob("libcudart.so.13"))
ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
print("CUDA 13's runtime loads:", runtime.name)

try:
    ctypes.CDLL("libcudart.so.12")
    raise SystemExit("CUDA 12's runtime is on this machine too, so its import says nothing here")
except OSError:
    pass
try:
    import cufinufft  # noqa: F401
except (OSError, ImportError, RuntimeError) as err:
    told = f"{err} {err.__cause__ or ''} {err.__context__ or ''}"
    print(f"import cufinufft: {type(err).__name__}: {err}")
    assert "libcudart.so.12" in told or "cufinufft" in told.lower(), told
else:
    raise AssertionError("cufinufft imports beside CUDA 13 now")

library = next((site / "cufinufft").glob("*.so")).read_bytes()
assert b"libcudart.so.12\0" in library and b"libcufft.so.11\0" in library and b"libcudart.so.13\0" not in library
print("it is linked to libcudart.so.12 and libcufft.so.11, of CUDA 12")
P
echo "as found: no wheel of cufinufft 2.5.1 is for CUDA 13, and nothing says so"
