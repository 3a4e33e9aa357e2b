"""Resampling of a row at evenly spaced positions, in vector registers: a permutation in place of loads one by one.

W neighbouring samples lie between entries of the row that fit into two registers, unless they are far apart: these are
loaded as they lie, and one instruction picks from a register by W indices.  Numba has no vectors, and LLVM does not
find this by itself: it is written as LLVM's IR.  Other CPUs get a plain loop.
"""

from __future__ import annotations

import math
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from ipbox.kernels.core.compile import OPTIONS


def _lanes() -> tuple[int, int]:
    """Numbers in a register that the CPU permutes by indices, float32 and float64; 0 where it or Numba's target cannot.

    AVX-512 permutes 16 or 8, AVX2 8 of single precision.
    """
    if numba.config.DISABLE_JIT or (numba.config.CPU_NAME and not numba.config.CPU_FEATURES):
        return 0, 0
    if numba.config.CPU_FEATURES:
        has = {name[1:]: name[0] == "+" for name in numba.config.CPU_FEATURES.split(",")}
    else:
        has = llvmlite.binding.get_host_cpu_features()
    if not has.get("fma") or not has.get("avx2"):
        return 0, 0
    return (16, 8) if has.get("avx512f") else (8, 0)


SINGLE, DOUBLE = _lanes()
AROUND = 4  # entries of zeros that `spread` wants before its row, and twice as many behind it
I32, I64 = ir.IntType(32), ir.IntType(64)


class _Vectors:
    """IR of vectors of W numbers of type ``real``."""

    def __init__(self, builder: Any, real: Any) -> None:
        self.b, self.real = builder, real
        self.bytes = 4 if isinstance(real, ir.FloatType) else 8
        self.W = lanes(self.bytes)
        self.reals, self.ints = ir.VectorType(real, self.W), ir.VectorType(I32, self.W)

    def all(self, x: Any) -> Any:
        """x in each lane."""
        wide = ir.VectorType(x.type, self.W)
        first = self.b.insert_element(ir.Constant(wide, ir.Undefined), x, I32(0))
        return self.b.shuffle_vector(first, ir.Constant(wide, ir.Undefined), ir.Constant(self.ints, [0] * self.W))

    def constant(self, x: float) -> Any:
        return ir.Constant(self.reals, [x] * self.W)

    def from_(self, start: Any) -> Any:
        """start, start + 1, ..."""
        return self.b.add(self.all(start), ir.Constant(self.ints, list(range(self.W))))

    def of_reals(self, name: str, *args: Any) -> Any:
        return self._call(f"{name}.v{self.W}f{8 * self.bytes}", self.reals, *args)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.of_reals("fma", x, y, z)

    def real_of(self, i: Any) -> Any:
        return self.b.sitofp(i, self.reals)

    def least(self, x: Any, y: Any) -> Any:
        """Of integers or vectors of them; not by a comparison, of which LLVM may make a branch."""
        suffix = f"v{self.W}i32" if x.type == self.ints else "i32"
        return self._call(f"smin.{suffix}", x.type, x, y)

    def clamped(self, x: Any, lo: Any, hi: Any) -> Any:
        x = self.b.select(self.b.fcmp_ordered(">", x, lo), x, lo)
        return self.b.select(self.b.fcmp_ordered("<", x, hi), x, hi)

    def ends(self, i: Any) -> Any:
        """The least of indices that go up or down."""
        return self.least(self.b.extract_element(i, I32(0)), self.b.extract_element(i, I32(self.W - 1)))

    def at(self, row: Any, i: Any) -> Any:
        return self.b.bitcast(self.b.gep(row, [i]), self.reals.as_pointer())

    def load(self, row: Any, i: Any) -> Any:
        return self.b.load(self.at(row, i), align=self.bytes)

    def add_to(self, row: Any, i: Any, x: Any) -> None:
        self.b.store(self.b.fadd(self.load(row, i), x), self.at(row, i), align=self.bytes)

    def pick(self, table: list[Any], i: Any) -> Any:
        """Of one register, or of two beside each other, the entries i."""
        if self.W * self.bytes == 32:
            found = [self._call("x86.avx2.permps", self.reals, part, i) for part in table]  # of i modulo W
            low = self.b.icmp_signed("<", i, ir.Constant(i.type, [self.W] * self.W))
            return found[0] if len(table) == 1 else self.b.select(low, *found)
        kind = "s" if self.bytes == 4 else "d"
        i = i if kind == "s" else self.b.sext(i, ir.VectorType(I64, self.W))
        if len(table) == 1:
            return self._call(f"x86.avx512.permvar.{kind}f.512", self.reals, table[0], i)
        return self._call(f"x86.avx512.vpermi2var.p{kind}.512", self.reals, table[0], i, table[1])

    def _call(self, name: str, result: Any, *args: Any) -> Any:
        kind = ir.FunctionType(result, [x.type for x in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, f"llvm.{name}"), args)


def _given(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    """The arguments, arrays as pointers to their first entries."""
    return [
        cgutils.create_struct_proxy(kind)(context, builder, value=x).data if isinstance(kind, types.Array) else x
        for kind, x in zip(signature.args, args, strict=True)
    ]


def _sampler(registers: int) -> Any:
    @intrinsic
    def sample(context, acc, start, r, rows, a, b, v, w, z0, dz, top):
        real, i64 = acc.dtype, types.int64
        signature = types.void(acc, i64, i64, rows, i64, i64, real, real, real, real, types.int32)

        def generate(context, builder, signature, args):
            acc, at, r, rows, a, b, v, w, z0, dz, top = _given(context, builder, signature, args)
            V, B = _Vectors(builder, z0.type), builder
            if not V.W:  # code that is never reached
                return context.get_dummy_value()
            zero, one = V.constant(0.0), V.constant(1.0)
            z = V.fma(V.real_of(V.from_(B.trunc(r, I32))), V.all(dz), V.all(z0))
            z = V.clamped(z, zero, V.all(B.sitofp(top, v.type)))
            j = V.least(B.fptosi(z, V.ints), V.all(B.sub(top, I32(1))))
            f = B.fsub(z, V.real_of(j))
            base = V.least(V.ends(j), B.sub(top, I32(registers * V.W)))
            i, start = B.sub(j, V.all(base)), B.sext(base, I64)
            a, b, v, w = B.add(a, start), B.add(b, start), V.all(v), V.all(w)

            def mixed(offset):
                left, right = (V.load(rows, B.add(o, I64(offset))) for o in (a, b))
                return V.fma(w, right, B.fmul(v, left))

            near, far = (V.pick([mixed(o + t * V.W) for t in range(registers)], i) for o in (0, 1))
            V.add_to(acc, B.add(at, r), V.fma(f, far, B.fmul(B.fsub(one, f), near)))
            return context.get_dummy_value()

        return signature, generate

    return sample


def _spreader(registers: int) -> Any:
    @intrinsic
    def spread(context, rows, a, b, j, v, w, q, start, n, z0, dz, s0, inverse, terms):
        real, i64 = rows.dtype, types.int64
        signature = types.void(rows, i64, i64, i64, real, real, q, i64, i64, real, real, real, real, i64)

        def generate(context, builder, signature, args):
            rows, a, b, j, v, w, q, begin, n, z0, dz, s0, inverse, terms = _given(context, builder, signature, args)
            V, B = _Vectors(builder, z0.type), builder
            if not V.W:
                return context.get_dummy_value()
            n, few = B.trunc(n, I32), B.trunc(terms, I32)
            at = V.real_of(V.from_(B.trunc(j, I32)))
            low, high = B.sitofp(B.neg(few), v.type), B.sitofp(n, v.type)
            first = B.fadd(V.of_reals("floor", V.fma(at, V.all(inverse), V.all(s0))), V.constant(1.0))
            first = V.clamped(first, V.all(low), V.all(high))
            r = B.fptosi(first, V.ints)
            base = V.least(V.ends(r), B.sub(B.add(n, I32(2 * AROUND + 1)), B.add(few, I32(registers * V.W))))
            i, start = B.sub(r, V.all(base)), B.add(B.sext(base, I64), B.add(begin, I64(AROUND)))
            e, total = cgutils.alloca_once(B, V.reals), cgutils.alloca_once(B, V.reals)
            B.store(B.fsub(V.fma(first, V.all(dz), V.all(z0)), at), e)
            B.store(V.constant(0.0), total)
            with cgutils.for_range(B, terms) as loop:
                o, beside = B.add(start, loop.index), B.load(e)
                weight = B.fsub(V.constant(1.0), V.of_reals("fabs", beside))
                weight = B.select(B.fcmp_ordered(">", weight, V.constant(0.0)), weight, V.constant(0.0))
                table = [V.load(q, B.add(o, I64(t * V.W))) for t in range(registers)]
                B.store(V.fma(weight, V.pick(table, i), B.load(total)), total)
                B.store(B.fadd(beside, V.all(dz)), e)
            V.add_to(rows, B.add(a, j), B.fmul(V.all(v), B.load(total)))
            V.add_to(rows, B.add(b, j), B.fmul(V.all(w), B.load(total)))
            return context.get_dummy_value()

        return signature, generate

    return spread


inlined = numba.njit(inline="always", **OPTIONS)  # LLVM would call them, with a dozen arguments
sample1, sample2 = _sampler(1), _sampler(2)
spread1, spread2 = _spreader(1), _spreader(2)


# ---------------------------------------------------------------- called by kernels


@register_jitable
def lanes(itemsize):
    """The W of a dtype; 0 where there are no such registers."""
    return SINGLE if itemsize == 4 else DOUBLE


@register_jitable
def padded(n, itemsize):
    """How long an array of n is up to where vectors end."""
    width = max(lanes(itemsize), 1)
    return (n + width - 1) // width * width


@register_jitable
def framed(n, itemsize):
    """How long a row of n with a zero before and zeros behind it is for `resample`."""
    return padded(max(n + 2, 2 * lanes(itemsize) + 1), itemsize)


@register_jitable
def surrounded(n, itemsize):
    """How long a row of n with `AROUND` zeros before and more behind it is for `spread`."""
    return max(n, 2 * lanes(itemsize)) + 3 * AROUND


@inlined
def resample(acc, start, rows, a, b, size, v, w, z0, dz, lo, hi):
    """acc_r += v a + w b at z0 + r dz, interpolated linearly, for r from lo to hi - 1, and for some r up to `padded`.

    acc begins at ``start``, and a and b where these say in ``rows``; they are of a ``size`` as `framed` says.
    """
    width, top = lanes(acc.itemsize), np.int32(size - 1)
    if width and abs(dz) * (width - 1) <= width - 2:
        for r in range(lo // width * width, hi, width):
            sample1(acc, start, r, rows, a, b, v, w, z0, dz, top)
    elif width and abs(dz) <= 2:
        for r in range(lo // width * width, hi, width):
            sample2(acc, start, r, rows, a, b, v, w, z0, dz, top)
    else:
        real = type(z0)
        for r in range(lo, hi):
            z = min(max(z0 + dz * real(r), real(0)), real(top))
            j = min(int(z), size - 2)
            f = z - real(j)
            near, far = v * rows[a + j] + w * rows[b + j], v * rows[a + j + 1] + w * rows[b + j + 1]
            acc[start + r] += (real(1) - f) * near + f * far


@inlined
def spread(rows, a, b, size, v, w, q, start, length, z0, dz):
    """The transpose: a += v p, b += w p with p_j = Σ_r max(0, 1 - |z0 + r dz - j|) q_r, of all r.

    q begins at ``start`` with `AROUND` zeros and is of a ``length`` as `surrounded` says.
    """
    real, width, n = type(z0), lanes(rows.itemsize), length - 3 * AROUND
    ends = z0, z0 + dz * real(n - 1)
    inverse = real(1) / dz
    apart = abs(inverse) * (width - 1)
    if width and apart <= 2 * width - 2:
        first, last = int(max(min(ends), real(0))), int(min(max(ends) + 1, real(size - 1)))
        s0 = (-math.copysign(real(1), dz) - z0) * inverse
        terms = int(math.ceil(real(2) * abs(inverse)))
        if apart <= width - 2:
            for j in range(first // width * width, last + 1, width):
                spread1(rows, a, b, j, v, w, q, start, n, z0, dz, s0, inverse, terms)
        else:
            for j in range(first // width * width, last + 1, width):
                spread2(rows, a, b, j, v, w, q, start, n, z0, dz, s0, inverse, terms)
    else:
        for r in range(n):
            z = z0 + dz * real(r)
            if 0 < z < size - 1:
                j = int(z)
                f, x = z - real(j), q[start + AROUND + r]
                near, far = (real(1) - f) * x, f * x
                rows[a + j] += v * near
                rows[b + j] += w * near
                rows[a + j + 1] += v * far
                rows[b + j + 1] += w * far
