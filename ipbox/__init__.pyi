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
from .operators import Gradient, Identity, RayTransform, VStack, as_operator
from .plot import show
from .problems import problem
from .reconstruct import cgls, fbp, landweber, tikhonov, tv
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
