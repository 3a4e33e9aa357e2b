from . import (
    backend,
    comparison,
    functionals,
    kernels,
    metrics,
    operators,
    plot,
    problems,
    reconstruct,
    solvers,
)
from .comparison import compare
from .functionals import L1, L2, L21, TV, Box, NonNegative, Zero, as_functional
from .metrics import nrmse, psnr, relative_residual, ssim
from .operators import (
    PET,
    Blur,
    CartesianMRI,
    CoilSensitivities,
    Downsampling,
    FanBeamTransform,
    FiniteDifference,
    FourierTransform,
    GaussianBlur,
    GaussianMeasurements,
    Gradient,
    Identity,
    JosephTransform,
    Mask,
    NonCartesianMRI,
    RayTransform,
    Sampling,
    SymmetrisedGradient,
    VaryingBlur,
    VStack,
    Wavelet,
    as_operator,
    counting,
    operator,
)
from .plot import show
from .problems import problem
from .problems.files.dicom import read_dicom_series
from .problems.files.fastmri import read_fastmri
from .problems.files.folders import FastMRI, LidcIdri
from .problems.files.image import read_image
from .problems.files.ismrmrd import read_ismrmrd
from .problems.splits import split_by_patient
from .reconstruct import (
    analytic,
    cgls,
    estimate_sensitivities,
    fbp,
    gridding,
    landweber,
    pseudo_inverse,
    root_sum_of_squares,
    sense,
    tikhonov,
    truncated_inverse,
    tv,
    wiener,
    zero_filled,
)
from .solvers import (
    CGLS,
    FISTA,
    PDHG,
    ForwardBackward,
    GradientDescent,
    Problem,
    callbacks,
    iterate,
    solve,
)

stop = solvers.stopping
__version__: str
