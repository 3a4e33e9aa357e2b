"""CPU kernels (Numba): smoothed total variation with a quadratic, its derivatives, and whole solves of denoising by it.

Arrays are (samples, rows, n); a signal is one row.  With the backward differences d along a row and e to the row
above, t = d² + e² + ν², the field is (p, q) = α (d, e)/√t; its adjoint is p_j - p_{j+1} + q_i - q_{i+1}.  Where there
is no neighbour the difference is 0; with ``edge`` 1 there is the neighbour 0 before the first entry of a row.  p has
one entry more than a row, which stays 0.

Scalars come in the dtype of the arrays.  Only this file is hashed for Numba's cache: everything a kernel calls must
live in it.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import prange
from numba.extending import intrinsic, overload

from ipbox.kernels.core.compile import OPTIONS, twins
from ipbox.kernels.core.rows import contracted, reduction

BAND = 32  # rows dealt out together, since the duals of one more are needed

# ---------------------------------------------------------------- rows


@contracted
def _duals(p, q, u, above, edge, alpha, nu2):
    """The field of one row; ``above`` is the row itself where there is none."""
    d, e = edge * u[0], u[0] - above[0]
    r = alpha / math.sqrt(d * d + e * e + nu2)
    p[0], q[0] = d * r, e * r
    for j in range(1, u.shape[0]):
        d, e = u[j] - u[j - 1], u[j] - above[j]
        r = alpha / math.sqrt(d * d + e * e + nu2)
        p[j], q[j] = d * r, e * r


@contracted
def _linearised(d, e, w, z, alpha, nu2):
    """α (I/s - (d, e)(d, e)ᵀ/s³)(w, z) = α (ν² (w, z) + c (-e, d))/s³ with c = d z - e w: nothing cancels."""
    t = d * d + e * e + nu2
    r, c = alpha / (t * math.sqrt(t)), d * z - e * w
    return r * (nu2 * w - c * e), r * (nu2 * z + c * d)


@contracted
def _linearised_duals(p, q, u, above, v, v_above, edge, alpha, nu2):
    p[0], q[0] = _linearised(edge * u[0], u[0] - above[0], edge * v[0], v[0] - v_above[0], alpha, nu2)
    for j in range(1, u.shape[0]):
        p[j], q[j] = _linearised(u[j] - u[j - 1], u[j] - above[j], v[j] - v[j - 1], v[j] - v_above[j], alpha, nu2)


@contracted
def _gather(g, u, c, p, q):
    """g = c u + p_j - p_{j+1} + q."""
    for j in range(g.shape[0]):
        g[j] = c * u[j] + (p[j] - p[j + 1]) + q[j]


@contracted
def _gather_data(g, u, b, c, p, q):
    """g = c u - b + p_j - p_{j+1} + q."""
    for j in range(g.shape[0]):
        g[j] = (c * u[j] - b[j]) + (p[j] - p[j + 1]) + q[j]


@contracted
def _subtract(g, q):
    for j in range(g.shape[0]):
        g[j] -= q[j]


@reduction
def _sum_squares(g):
    s = 0.0
    for j in range(g.shape[0]):
        s += np.float64(g[j]) * np.float64(g[j])
    return s


@reduction
def _sum(g):
    s = 0.0
    for j in range(g.shape[0]):
        s += g[j]
    return s


# ---------------------------------------------------------------- value and derivatives


@twins
def smoothed_tv_gradient(u, b, out, has_b, edge, alpha, nu2, c):
    """out = c u + α D*(Du/s), less b."""
    samples, rows, n = u.shape
    bands = (rows + BAND - 1) // BAND
    for k in prange(samples * bands):
        s, first = k // bands, k % bands * BAND
        last = min(first + BAND, rows)
        p, q = np.zeros(n + 1, u.dtype), np.empty(n, u.dtype)
        for i in range(first, min(last + 1, rows)):
            _duals(p, q, u[s, i], u[s, max(i - 1, 0)], edge, alpha, nu2)
            if i > first:
                _subtract(out[s, i - 1], q)
            if i < last and has_b:
                _gather_data(out[s, i], u[s, i], b[s, i], c, p, q)
            elif i < last:
                _gather(out[s, i], u[s, i], c, p, q)


@twins
def smoothed_tv_hessian(u, v, out, edge, alpha, nu2, c):
    """out = c v + D*(the derivative of α Du/s along v)."""
    samples, rows, n = u.shape
    bands = (rows + BAND - 1) // BAND
    for k in prange(samples * bands):
        s, first = k // bands, k % bands * BAND
        last = min(first + BAND, rows)
        p, q = np.zeros(n + 1, u.dtype), np.empty(n, u.dtype)
        for i in range(first, min(last + 1, rows)):
            up = max(i - 1, 0)
            _linearised_duals(p, q, u[s, i], u[s, up], v[s, i], v[s, up], edge, alpha, nu2)
            if i > first:
                _subtract(out[s, i - 1], q)
            if i < last:
                _gather(out[s, i], v[s, i], c, p, q)


@contracted
def _value_row(t, u, above, b, has_b, edge, alpha, nu2, xi):
    """t = α s + ½ ξ u² + ½ (u - b)², in double precision."""
    for j in range(u.shape[0]):
        x, up = np.float64(u[j]), np.float64(above[j])
        d = x - np.float64(u[j - 1]) if j > 0 else edge * x
        t[j] = alpha * math.sqrt(d * d + (x - up) * (x - up) + nu2) + 0.5 * xi * x * x
    if has_b:
        for j in range(u.shape[0]):
            r = np.float64(u[j]) - np.float64(b[j])
            t[j] += 0.5 * r * r


@twins
def smoothed_tv_value(u, b, has_b, edge, alpha, nu2, xi):
    """Φ of every sample; scalars and sums in float64."""
    samples, rows, n = u.shape
    parts = np.empty((samples, rows))
    for k in prange(samples * rows):
        s, i = k // rows, k % rows
        t = np.empty(n)
        _value_row(t, u[s, i], u[s, max(i - 1, 0)], b[s, i], has_b, edge, alpha, nu2, xi)
        parts[s, i] = _sum(t)
    values = np.empty(samples)
    for s in range(samples):
        values[s] = _sum(parts[s])
    return values


@contracted
def _mixed_row(t0, t1, t2, u, above, v, v_above, edge, nu2):
    """<Du, Dv>/s, u v and <Du, Dv>/s³, in double precision."""
    for j in range(u.shape[0]):
        x, y = np.float64(u[j]), np.float64(v[j])
        d = x - np.float64(u[j - 1]) if j > 0 else edge * x
        w = y - np.float64(v[j - 1]) if j > 0 else edge * y
        e, z = x - np.float64(above[j]), y - np.float64(v_above[j])
        t = d * d + e * e + nu2
        r = (d * w + e * z) / math.sqrt(t)
        t0[j], t1[j], t2[j] = r, x * y, r / t


@twins
def smoothed_tv_mixed(u, v, edge, nu2):
    """Σ <Du, Dv>/s, <u, v> and Σ <Du, Dv>/s³ of every sample; scalars and sums in float64."""
    samples, rows, n = u.shape
    parts = np.empty((samples, 3, rows))
    for k in prange(samples * rows):
        s, i = k // rows, k % rows
        t, up = np.empty((3, n)), max(i - 1, 0)
        _mixed_row(t[0], t[1], t[2], u[s, i], u[s, up], v[s, i], v[s, up], edge, nu2)
        for a in range(3):
            parts[s, a, i] = _sum(t[a])
    sums = np.empty((samples, 3))
    for s in range(samples):
        for a in range(3):
            sums[s, a] = _sum(parts[s, a])
    return sums


# ---------------------------------------------------------------- whole solves


def _reciprocal_root(t):
    """1/√t in the precision of t, 1e-37 < t < 1e38."""
    return 1 / math.sqrt(t)


@overload(_reciprocal_root, jit_options={"fastmath": {"contract"}, **OPTIONS})
def _reciprocal_root_of(t):
    if t is numba.float32:
        return lambda t: np.float32(1) / math.sqrt(t)

    def corrected(t):
        # Single precision divides faster.  With t r² = 1 - z the value is r (1 - z)^-½ = r (1 + z/2 + 3z²/8 + O(z³)),
        # |z| < 1e-6: exact to a few ulp.
        r = np.float32(1) / math.sqrt(np.float32(t))
        z = 1 - t * r * r
        return r + r * z * (0.5 + 0.375 * z)

    return corrected


@contracted
def _fast_duals(p, q, u, above, edge, alpha, nu2):
    """As `_duals`."""
    d, e = edge * u[0], u[0] - above[0]
    r = alpha * _reciprocal_root(d * d + e * e + nu2)
    p[0], q[0] = d * r, e * r
    for j in range(1, u.shape[0]):
        d, e = u[j] - u[j - 1], u[j] - above[j]
        r = alpha * _reciprocal_root(d * d + e * e + nu2)
        p[j], q[j] = d * r, e * r


@contracted
def _step(g, p, q, below, b, x, y, c, tau, beta):
    """One row of g = ∇Φ(y), x⁺ = y - τ g, y = x⁺ + β (x⁺ - x); ``below`` is the q of the next row."""
    for j in range(g.shape[0]):
        h = (c * y[j] - b[j]) + (p[j] - p[j + 1]) + (q[j] - below[j])
        z = y[j] - tau * h
        y[j] = z + beta * (z - x[j])
        g[j], x[j] = h, z


@contracted
def _signal_duals(p, u, edge, alpha, nu2):
    """`_fast_duals` of a signal, where q = 0."""
    d = edge * u[0]
    p[0] = alpha * d * _reciprocal_root(d * d + nu2)
    for j in range(1, u.shape[0]):
        d = u[j] - u[j - 1]
        p[j] = alpha * d * _reciprocal_root(d * d + nu2)


@contracted
def _signal_step(g, p, b, x, y, c, tau, beta):
    """`_step` of a signal."""
    for j in range(g.shape[0]):
        h = (c * y[j] - b[j]) + (p[j] - p[j + 1])
        z = y[j] - tau * h
        y[j] = z + beta * (z - x[j])
        g[j], x[j] = h, z


@contracted
def _iterate(b, x, y, p, q, g, zero, edge, alpha, nu2, c, tau, beta):
    """One iteration in place: x = y - τ∇Φ(y), then y = x + β (x - its predecessor); gives ‖∇Φ(y)‖²."""
    rows, norm2 = y.shape[0], 0.0
    for i in range(rows):  # the field of row i, then row i - 1 of y may change
        now, before = i & 1, 1 - (i & 1)
        _fast_duals(p[now], q[now], y[i], y[max(i - 1, 0)], edge, alpha, nu2)
        if i > 0:
            _step(g, p[before], q[before], q[now], b[i - 1], x[i - 1], y[i - 1], c, tau, beta)
            norm2 += _sum_squares(g)
    last = (rows - 1) & 1
    _step(g, p[last], q[last], zero, b[rows - 1], x[rows - 1], y[rows - 1], c, tau, beta)
    return norm2 + _sum_squares(g)


@contracted
def next_momentum(t, ratio):
    """The next t and β of strongly convex FISTA."""
    a = 1.0 - ratio * t * t
    after = 0.5 * (a + math.sqrt(a * a + 4.0 * t * t))
    rest = after * (1.0 - ratio)
    return after, ((t - 1.0) * (1.0 - ratio * after) / rest if rest > 0.0 else 0.0)


def _take(counter):
    """The number in ``counter``, which the next thread to ask finds one larger."""
    counter[0] += 1
    return counter[0] - 1


@overload(_take)
def _take_of(counter):
    return lambda counter: _atomic_take(counter)


@intrinsic
def _atomic_take(typing, counter):
    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, context.get_constant(numba.int64, 1), "monotonic")

    return numba.int64(counter), code


@twins
def smoothed_tv_denoise(
    b, x, y, memory, count, certificate, running, accuracy, rounding,
    edge, alpha, nu2, c, tau, ratio, factor, patience, floor, fixed, most, budget, counter, threads,
):  # fmt: skip
    """At most ``budget`` more iterations of each sample that is ``running``.

    ``memory`` holds t of FISTA, the smallest bound so far and the iteration that had it.  A thread takes the next
    sample when it is done with one, since some need far more iterations than others.
    """
    samples, rows, n = x.shape
    for _ in prange(threads):
        p, q = np.zeros((2, n + 1), x.dtype), np.zeros((2, n), x.dtype)
        g, zero = np.empty(n, x.dtype), np.zeros(n, x.dtype)
        p0 = p[0]
        while True:
            s = _take(counter)
            if s >= samples:
                break
            data, old, new = b[s, 0], x[s, 0], y[s, 0]
            left = budget if running[s] else 0
            while left > 0:
                left -= 1
                beta = 0.0
                if ratio > 0.0:
                    memory[s, 0], beta = next_momentum(memory[s, 0], ratio)
                momentum = x.dtype.type(beta)
                if rows == 1:
                    _signal_duals(p0, new, edge, alpha, nu2)
                    _signal_step(g, p0, data, old, new, c, tau, momentum)
                    norm2 = _sum_squares(g)
                else:
                    norm2 = _iterate(b[s], x[s], y[s], p, q, g, zero, edge, alpha, nu2, c, tau, momentum)
                bound = factor * math.sqrt(norm2)
                count[s] += 1
                certificate[s] = bound + rounding[s]
                if bound < 0.9 * memory[s, 1]:
                    memory[s, 1], memory[s, 2] = bound, count[s]
                held = count[s] - memory[s, 2] > (patience[0] if memory[s, 1] > floor * rounding[s] else patience[1])
                enough = bound + rounding[s] <= accuracy[s] or bound <= rounding[s] or held
                if count[s] >= most or (enough and not fixed) or not bound < math.inf:
                    running[s], left = False, 0
