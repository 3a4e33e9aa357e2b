"""What users of other packages of the field reported in public, and what ipbox gives there.

Each test names the repository and the number, and would fail with the same fault.  Reports about files and metrics are
in ``tests/io/test_reports.py``.  "right" was right before the report was tried; the rest was mended for it.

===============================  =================================================================================
report                           here
===============================  =================================================================================
scikit-image #592, #3742, #6916  right: one centre and one level of `fbp`, for even and odd images and detectors
scikit-image #7222               right: wide images and single rows keep their shape
scikit-image pull 2065           right: every window reaches from 0 to the detector's Nyquist frequency
odl pull 947                     mended: `fbp` of a single view (or one that is repeated) gave no warning
odl #1519                        right: values per unit of length, for pixels of 1e-3 to 250
LEAP #108, tomopy #629           right: `fbp`, `cgls` and `sirt` in the same unit
scico #560                       right: exact adjoint with a detector smaller than the shadow, no wrap-around
deepinv pull 715                 right: norms of projectors, against the singular value decomposition
TIGRE pull 778                   right: no redundancy weights where a shifted detector sees all
TIGRE pull 743                   right: a turn that lacks 2 to 20 degrees keeps its level
TIGRE #386, LEAP #92             right: half fan with an overlap of 3 to 25 pixels, no ring
RTK pull 974                     right: every view of a short scan counts, two readings of a line share it
mbircone pull 140                right: stopping depends on norms, not on signed sums
odl #735                         right: the Fourier transform is unitary for every size
gpuNUFFT #18                     right: odd grids, against the sum itself
sigpy #39                        right: the adjoint at k and -k is real for a real image
nfft pull 295                    right: one sign in forward, adjoint, real and Toeplitz paths, in every quadrant
PyLops #268, #362                mended: a real FFT of PyLops was taken for a map of complex images, which it is not
scikit-image #1172               right: `wiener` keeps odd sizes
deepinv #89                      right: adjoint of blurs by FFT for odd axes
sporco #5                        right: deconvolution does not move the image, for odd and even kernels
scikit-image #2551, #4378        right: zeros in counts and in their means give zeros
odl #1277                        right: negative readings are refused
NIPET pull 23                    mended: `osem` gave an image of zeros at low counts without a word
scikit-image #372, #4427         right: channels apart (``axes``) or with shared edges (``channels``), never unasked
scikit-image #5379               right: λ multiplies the regulariser in every function, prox and solver
CIL #1172, #1650                 right: a prox into its own input
CIL #608                         right: a step for each sample; one for each pixel is refused
CIL #1587                        right: a warm start changes nothing but the number of steps
CIL pull 1163                    right: empty rows and columns have weight 0
CIL-Demos #196                   right: PDHG, Condat-Vu and FISTA end at one image
CIL #1103                        otherwise: steps that are given are checked against the norm, computed once
mrpro pull 999                   right: τσ‖K‖² <= 1 for every size of K, and the paper's iterates
scipy #7219                      right: least norm for singular, badly conditioned square matrices
scipy #8493                      right: relative tolerances
within #362                      right: data in the null space of A* give 0, from every start
===============================  =================================================================================
"""
