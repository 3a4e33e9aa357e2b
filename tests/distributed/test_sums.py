"""The code is read: solvers and functionals that ranks share reduce no array but through the backend."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.source import MODULES, in_package, tree

REDUCTIONS = {"sum", "max", "min", "mean", "any", "all", "vdot", "dot", "argmin", "argmax", "ptp", "std", "var"}

# Of numbers: settings, or one for each sample of a batch, which all ranks have; and of data, which each checks itself.
NUMBERS = {
    "solvers/core/fingerprint.py": {"_of_term", "_equal"},
    "solvers/core/run.py": {"_bound"},
    "solvers/core/solve.py": {"_solve_batch"},
    "solvers/gradient/conjugate.py": {"_restart"},
    "solvers/gradient/lbfgs.py": {"_direction"},
    "solvers/gradient/line_search.py": {"shorten", "search"},
    "solvers/gradient/searching.py": {"init"},
    "solvers/krylov/attainable.py": {"watch"},
    "solvers/krylov/cg.py": {"_check_range"},
    "solvers/krylov/cgls.py": {"step"},
    "solvers/krylov/conjugate_directions.py": {"solve_definite"},
    "solvers/krylov/least_squares.py": {"computed_where_ended"},
    "solvers/primal_dual/spdhg.py": {"along"},
    "solvers/proximal/bregman.py": {"_search"},
    "solvers/proximal/non_monotone.py": {"step"},
    "functionals/core/base.py": {"_total", "check_step"},
    "functionals/core/composition.py": {"check_data"},
    "functionals/fidelities/weighted.py": {"_check_entries", "_check_counts"},
}
# Of classes that are refused where ranks share the arrays: not `by_ranks`, not `by_slabs`.
REFUSED = {
    "solvers/core/noise_rules.py": {"ncp_distance"},
    "solvers/krylov/hybrid.py": {"step", "certificate", "solve", "misfit", "weight", "_minimise", "wgcv"},
    "solvers/primal_dual/preconditioned.py": {"step_sizes", "resolvents"},
    "solvers/proximal/bregman.py": {"_subgradient"},
    "solvers/proximal/scale_space.py": {"step", "_least_squares"},
    "solvers/subsets/bsrem.py": {"init"},
    "solvers/subsets/counts.py": {"smallest_mean", "sensitivity"},
    "solvers/subsets/em.py": {"_start"},
    "solvers/subsets/row_action.py": {"__post_init__"},
    "solvers/subsets/row_weights.py": {"of_sums", "of_equations", "_row_squares", "_block_norm"},
    "functionals/core/adapters.py": {"_value"},
    "functionals/core/foreign.py": {"why_no_value", "__call__"},
    "functionals/core/user.py": {"_value"},
    "functionals/regularisers/filter_bounds.py": {"smooth_bound", "_largest_value"},
    "functionals/regularisers/group.py": {"group_labels", "__init__"},
    "functionals/regularisers/relative_difference.py": {"__init__", "_checked"},
    "functionals/regularisers/smoothness.py": {"__init__"},
    "functionals/sets/affine.py": {"_decompose", "_pseudo_inverse", "_inside"},
    "functionals/total_variation/directional.py": {"__init__"},
    "functionals/total_variation/infimal_convolution.py": {"dual_value", "_minimise"},
    "functionals/total_variation/split_gradient.py": {"norm"},
    "functionals/total_variation/tgv.py": {"term_value"},
    "functionals/total_variation/tgv_geometry.py": {"of", "primal_step", "make_feasible"},
}


def reduces(call: ast.Call) -> bool:
    """Whether it reduces a whole array: along no axis, and not by the backend."""
    f = call.func
    if not isinstance(f, ast.Attribute) or any(keyword.arg == "axis" for keyword in call.keywords):
        return False
    if isinstance(f.value, ast.Name) and f.value.id in ("backend", "math", "shares"):
        return False
    return f.attr in REDUCTIONS or ast.unparse(f).endswith("linalg.norm")


def found(body: ast.AST, function: str = "") -> Iterator[str]:
    """The functions, the innermost ones, in which an array is reduced."""
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.Call) and reduces(node):
            yield function
        yield from found(node, node.name if isinstance(node, ast.FunctionDef) else function)


def test_arrays_are_reduced_by_the_backend() -> None:
    there: dict[str, set[str]] = {}
    for path in MODULES:
        name = in_package(path)
        if name.startswith(("solvers/", "functionals/")):
            there[name] = set(found(tree(path)))
    known = {name: NUMBERS.get(name, set()) | REFUSED.get(name, set()) for name in NUMBERS | REFUSED}
    assert {name: functions for name, functions in there.items() if functions} == known


def test_a_reduction_of_an_array_is_found() -> None:
    texts = ["x.max()", "np.sum(x * y)", "np.linalg.norm(x)", "x.sum(axis=0)", "backend.norm(x)", "max(1, 2)"]
    calls = [ast.parse(text, mode="eval").body for text in texts]
    assert [reduces(call) for call in calls] == [True, True, True, False, False, False]
