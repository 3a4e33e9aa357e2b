#!/usr/bin/env bash
# RTK's conjugate gradients for cone beam (itk-rtk 2.7.0.post1) take weights of the projections, one for each reading.
# They ask of them for the region of the volume, not for that of the projections: where the volume has more voxels along
# an axis than the stack of projections has entries (more slices than views is enough), the filter stops with "Requested
# region is (at least partially) outside the largest possible region", which names neither the weights nor an axis.
# Without weights the same call runs, and so it does with weights where there are as many views as slices.  A good
# engineer would have expected weights of the projections' shape to be taken wherever the projections are: few views are
# what iterative reconstruction is for.
#
# Seen: itk-rtk 2.7.0.post1, itk-core 5.4.7 beside it, Python 3.11, Linux.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: itk-rtk==2.7.0.post1 'numpy<2.5'
"$folder/venv/bin/python" - <<'P'
import importlib.metadata as metadata

import itk
import numpy as np
from itk import RTK as rtk

IMAGE = itk.Image[itk.F, 3]
print("itk-rtk", metadata.version("itk-rtk"))


def image(values):
    made = itk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32))
    made.SetSpacing([1.0] * 3)
    made.SetOrigin([-0.5 * (n - 1) for n in values.shape[::-1]])
    return made


def run(name, slices, views, weighted):
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for k in range(views):
        geometry.AddProjection(100.0, 200.0, 360.0 * k / views)
    made = getattr(rtk, name)[IMAGE].New()
    made.SetForwardProjectionFilter(made.ForwardProjectionType_FP_JOSEPH)
    made.SetBackProjectionFilter(made.BackProjectionType_BP_JOSEPH)
    made.SetGeometry(geometry)
    projections = np.ones((views, 24, 24))
    inputs = [image(np.zeros((slices,) * 3)), image(projections), image(projections)]
    made.SetInputVolume(inputs[0])
    made.SetInputProjectionStack(inputs[1])
    if weighted:
        made.SetInputWeights(inputs[2])
    made.SetCG_iterations(1)
    made.SetMainLoop_iterations(1)
    made.SetPerformTVSpatialDenoising(False)
    made.SetPerformWaveletsSpatialDenoising(False)
    try:
        made.Update()
        return "runs"
    except RuntimeError as err:
        return str(err).strip().splitlines()[-1]


NAME = "RegularizedConjugateGradientConeBeamReconstructionFilter"
refused = "Requested region is (at least partially) outside the largest possible region."
for slices, views, weighted, expected in [(16, 20, True, "runs"), (16, 12, False, "runs"), (16, 12, True, refused)]:
    told = run(NAME, slices, views, weighted)
    print(f"{slices} slices, {views} views, {'weights of 1' if weighted else 'no weights'}: {told}")
    assert told == expected, told
P
