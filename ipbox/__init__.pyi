from . import (
    backend as backend,
    bayes as bayes,
    bilevel as bilevel,
    choose as choose,
    comparison as comparison,
    distributed as distributed,
    evaluate as evaluate,
    functionals as functionals,
    groups as groups,
    kernels as kernels,
    learned as learned,
    measured as measured,
    metrics as metrics,
    operators as operators,
    plot as plot,
    problems as problems,
    reconstruct as reconstruct,
    solvers as solvers,
)
from .bayes.diffusion import diffusion as diffusion
from .bayes import MYULA as MYULA, PCN as PCN, ULA as ULA, sample as sample
from .choose import estimate_noise as estimate_noise
from .comparison import compare as compare
from .comparisons import compare_many as compare_many
from .functionals import (
    KL as KL,
    L1 as L1,
    L2 as L2,
    L21 as L21,
    TGV as TGV,
    TV as TV,
    Affine as Affine,
    Box as Box,
    DirectionalTV as DirectionalTV,
    GroupSparsity as GroupSparsity,
    Huber as Huber,
    InfConvTV as InfConvTV,
    L1Ball as L1Ball,
    L1Data as L1Data,
    L2Ball as L2Ball,
    LinfBall as LinfBall,
    NonNegative as NonNegative,
    NuclearNorm as NuclearNorm,
    PoissonTransmission as PoissonTransmission,
    Quadratic as Quadratic,
    RelativeDifference as RelativeDifference,
    Simplex as Simplex,
    SmoothedTV as SmoothedTV,
    Tikhonov as Tikhonov,
    WaveletL1 as WaveletL1,
    WeightedL2 as WeightedL2,
    Zero as Zero,
    as_functional as as_functional,
    functional as functional,
)
from .io.folders import FastMRI as FastMRI, LidcIdri as LidcIdri
from .io.formats.dicom import read_dicom_series as read_dicom_series
from .io.image import read_image as read_image
from .io.raw.fastmri import read_fastmri as read_fastmri
from .io.raw.ismrmrd import read_ismrmrd as read_ismrmrd
from .io.raw.twix import read_twix as read_twix
from .io.raw.projections import line_integrals as line_integrals
from .io.saving import save as save, save_dicom_series as save_dicom_series
from .io.scans.reading import read_scan as read_scan
from .io.splits import split_by_patient as split_by_patient
from .learned.methods.generative.reconstruct import generative as generative
from .learned.methods.plug_and_play import pnp as pnp
from .learned.methods.red import red as red
from .learned.priors.denoiser import Denoiser as Denoiser
from .learned.methods.slicewise import SlicewiseDenoiser as SlicewiseDenoiser
from .learned.priors.regulariser import LearnedRegulariser as LearnedRegulariser
from .metrics import (
    background_variability as background_variability,
    contrast_recovery as contrast_recovery,
    nrmse as nrmse,
    psnr as psnr,
    relative_residual as relative_residual,
    ssim as ssim,
)
from .operators import (
    PET as PET,
    Blur as Blur,
    CartesianMRI as CartesianMRI,
    CoilSensitivities as CoilSensitivities,
    ConeBeamTransform as ConeBeamTransform,
    ConeVectorTransform as ConeVectorTransform,
    Downsampling as Downsampling,
    FanBeamTransform as FanBeamTransform,
    FiniteDifference as FiniteDifference,
    FourierTransform as FourierTransform,
    GaussianBlur as GaussianBlur,
    GaussianMeasurements as GaussianMeasurements,
    Gradient as Gradient,
    Identity as Identity,
    JosephTransform as JosephTransform,
    Mask as Mask,
    NonCartesianMRI as NonCartesianMRI,
    ParallelVectorTransform as ParallelVectorTransform,
    RayTransform as RayTransform,
    Sampling as Sampling,
    SliceStack as SliceStack,
    SymmetrisedGradient as SymmetrisedGradient,
    VaryingBlur as VaryingBlur,
    VStack as VStack,
    Wavelet as Wavelet,
    as_operator as as_operator,
    counting as counting,
    operator as operator,
)
from .animation import animate as animate
from .plot import show as show
from .problems import problem as problem
from .reconstruct import (
    analytic as analytic,
    bregman as bregman,
    bsrem as bsrem,
    cgls as cgls,
    cimmino as cimmino,
    estimate_sensitivities as estimate_sensitivities,
    fbp as fbp,
    fdk as fdk,
    gridding as gridding,
    hybrid_lsqr as hybrid_lsqr,
    kaczmarz as kaczmarz,
    landweber as landweber,
    linearised_bregman as linearised_bregman,
    lsqr as lsqr,
    mlem as mlem,
    osem as osem,
    prewhiten as prewhiten,
    picard as picard,
    pseudo_inverse as pseudo_inverse,
    root_sum_of_squares as root_sum_of_squares,
    sense as sense,
    sirt as sirt,
    tgv as tgv,
    tikhonov as tikhonov,
    truncated_inverse as truncated_inverse,
    tsvd as tsvd,
    tv as tv,
    variational as variational,
    wavelet as wavelet,
    wiener as wiener,
    zero_filled as zero_filled,
)
from .solvers import (
    ADMM as ADMM,
    BSREM as BSREM,
    CG as CG,
    CGLS as CGLS,
    FISTA as FISTA,
    HQS as HQS,
    LBFGS as LBFGS,
    LSQR as LSQR,
    MLEM as MLEM,
    OSEM as OSEM,
    PD3O as PD3O,
    PDHG as PDHG,
    SAGA as SAGA,
    SIRT as SIRT,
    SPDHG as SPDHG,
    SVRG as SVRG,
    AdaptivePDHG as AdaptivePDHG,
    ArmijoGradientDescent as ArmijoGradientDescent,
    BarzilaiBorwein as BarzilaiBorwein,
    Bregman as Bregman,
    Cimmino as Cimmino,
    CondatVu as CondatVu,
    DavisYin as DavisYin,
    DouglasRachford as DouglasRachford,
    ForwardBackward as ForwardBackward,
    GradientDescent as GradientDescent,
    HybridLSQR as HybridLSQR,
    InverseScaleSpace as InverseScaleSpace,
    Kaczmarz as Kaczmarz,
    LinearisedADMM as LinearisedADMM,
    LinearisedBregman as LinearisedBregman,
    Nesterov as Nesterov,
    NonMonotoneAPG as NonMonotoneAPG,
    NonlinearCG as NonlinearCG,
    PreconditionedPDHG as PreconditionedPDHG,
    Problem as Problem,
    ProximalPoint as ProximalPoint,
    callbacks as callbacks,
    iterate as iterate,
    solve as solve,
)

stop = solvers.stopping
__version__: str
