"""``python -m ipbox demo equivariance``: which methods reconstruct a turned scan as they do the upright one."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import warnings
from typing import Any

import ipbox
from ipbox.cli.demos import learned
from ipbox.cli.demos.learned import SCALE, Method
from ipbox.cli.shared import check_outputs, checked_input, chosen, write_report

OPTIONS = {"slice": 3, "seed": 0}
TESTS = ("upright", "turned", "oblique")
STORED = "equivariance.json"  # of `python -m tests.bench.equivariance`
LIMIT = 0.1 * SCALE  # of differences as they are shown, 1/mm
NETT_WEIGHT = 1.0  # λ of ½‖u/s - N(u/s)‖², as fitted on slices of the training patient

METHODS: dict[str, str] = {
    "fbp": "filtered back-projection (hann)",
    "tikhonov": "Tikhonov",
    "landweber": "Landweber, 60 iterations",
    "tv": "total variation, u >= 0",
    "symmetric-tv": "symmetric total variation, u >= 0",
    "wavelet": "wavelets (db4)",
    "weakly-convex-ridge-ct": "weakly convex ridges",
    "input-convex": "input-convex network",
    "nett": "NETT of the post-processing",
    "pnp": "plug-and-play, DRUNet",
    "pnp-random": "plug-and-play, turned at random",
    "pnp-average": "plug-and-play, averaged over D_4",
    "dncnn": "plug-and-play, DnCNN",
    "dncnn-random": "plug-and-play, DnCNN turned at random",
    "dncnn-average": "plug-and-play, DnCNN averaged",
    "equivariant-dncnn": "plug-and-play, equivariant DnCNN",
    "post-processing": "post-processing, U-Net on the FBP",
    "post-processing-average": "post-processing, averaged over D_4",
    "unrolled": "unrolled, learned proximal gradient",
    "equilibrium": "deep equilibrium",
}


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration: errors under quarter turns, stored quality by the number of scans, a picture."""
    with checked_input():
        check_outputs(args)
        names = chosen(args.methods, METHODS)
        A, b, x_true, info = ipbox.problem("ct", **learned.SETTING, slice=args.slice, seed=args.seed)
        methods = {name: method(name) for name in names}
    group = ipbox.groups.Rotations(4)
    told = ", ".join(f"{name} {value}" for name, value in learned.SETTING.items())
    print(f"equivariance: chest slice {args.slice} of a patient that no weights have seen ({told}),")
    print("scanned upright and turned by 90, 180 and 270 degrees, with the same noise on the same rays")
    print(f"{'method':37} {'PSNR':>6} {'turned':>6} {'mean error':>11} {'worst':>9}")
    found = {}
    for name, run in methods.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of niter
            x = run(A, b, info)
            error = ipbox.evaluate.equivariance_error(lambda b, run=run: run(A, b, info), A, group, data=b)
        found[name] = error
        psnr, turned = ipbox.psnr(x, x_true), ipbox.psnr(error.found, error.worst_element(x_true))
        print(f"{METHODS[name]:37} {psnr:6.2f} {turned:6.2f} {error.mean:11.1e} {error.worst:9.1e}", flush=True)
    stored = quality()
    print(_table(stored) if stored else f"quality by the number of scans: {STORED} is not there yet")
    _picture(found, stored, args.out)
    print(f"picture: {args.out}")
    write_report(args, {"errors": {name: of.errors.tolist() for name, of in found.items()}, "quality": stored})


def method(name: str) -> Any:
    """The method ``name`` as a function (A, b, info) ↦ x."""
    simple: dict[str, Method] = {
        "tikhonov": lambda A, b, info: ipbox.tikhonov(A, b, 30.0, gradient=True, tol=1e-6),
        "landweber": lambda A, b, info: ipbox.landweber(A, b, niter=60),
        "symmetric-tv": lambda A, b, info: ipbox.variational(
            A, b, ipbox.TV(tuple(A.dims), symmetric=True), learned.TV_WEIGHT, nonneg=True, tol=1e-4, niter=3000
        ),
        "wavelet": lambda A, b, info: ipbox.wavelet(A, b, 0.1, niter=200),
    }
    if name in simple:
        run = simple[name]
    elif name == "nett":
        run = _network_tikhonov()
    elif name == "post-processing-average":
        return _averaged(learned.method("post-processing"))
    elif "dncnn" in name or name.startswith("pnp-"):
        run = _plug_and_play(*name.rsplit("-", 1) if name.endswith(("random", "average")) else (name, ""))
    else:
        run = learned.method(name)
    return lambda A, b, info: run(A, b, info)[0]


def _plug_and_play(denoiser: str, turned: str) -> Method:
    """With a denoiser as it is, turned at random, or averaged over the group."""
    from ipbox.learned.weights.modules import pretrained

    net = pretrained("drunet_fine" if denoiser == "pnp" else denoiser.replace("-", "_"))
    group = ipbox.groups.Dihedral(4) if denoiser == "pnp" else ipbox.groups.Rotations(4)
    given: dict[str, Any] = {"equivariant": group, "average": turned == "average"} if turned else {}
    return lambda A, b, info: ipbox.pnp(
        A, b, net, noise_level=info.noise_level, scale=SCALE, **learned.PNP, **given, progress=False
    )


def _averaged(run: Method) -> Any:
    """(1/|G|) Σ_g g⁻¹ Φ(g·b), by the action on views."""

    def reconstruct(A: Any, b: Any, info: Any) -> Any:
        def act(g: Any, b: Any) -> Any:
            return ipbox.evaluate.turned_views(A, g, b)

        return ipbox.groups.Averaged(lambda b: run(A, b, info)[0], ipbox.groups.Dihedral(4), act)(b)

    return reconstruct


def _network_tikhonov() -> Method:
    from ipbox.learned import NETT
    from ipbox.learned.weights.modules import pretrained

    def reconstruct(A: Any, b: Any, info: Any) -> tuple[Any, Any]:
        net: Any = pretrained("post_processing_ct", A)
        x0 = net.as_method()(A, b)[0].clip(min=0)
        R, solver = NETT(net.network, dims=A.dims, scale=SCALE), ipbox.ForwardBackward(backtracking=True)
        return ipbox.variational(A, b, R, NETT_WEIGHT, nonneg=True, solver=solver, tol=1e-5, niter=30, x0=x0)

    return reconstruct


# ---------------------------------------------------------------- quality by the number of scans


def quality() -> list[dict[str, Any]]:
    """Means and deviations over seeds of the stored runs, by competitor and number of scans; none where none are."""
    from ipbox.problems.truths import datasets

    try:
        path = datasets.find(STORED)
    except FileNotFoundError:
        return []
    stored = json.loads(path.read_text())
    runs, steps = stored["runs"], stored["steps"]
    means = []
    for competitor, n in sorted({(r["competitor"], r["n"]) for r in runs}):
        rows = [r for r in runs if (r["competitor"], r["n"]) == (competitor, n)]
        of = {what: [r[what] for r in rows] for what in TESTS}
        found = {what: statistics.mean(values) for what, values in of.items()}
        found |= {f"{what}_std": statistics.stdev(values) if len(rows) > 1 else 0.0 for what, values in of.items()}
        means.append({"competitor": competitor, "n": n, "steps": steps[str(n)], "seeds": len(rows), **found})
    return means


def _table(stored: list[dict[str, Any]]) -> str:
    lines = ["unrolled networks by the number of scans that they learned from: PSNR on another patient, stored"]
    lines.append("stopped where held-out scans got no better, after so many steps at most: compare networks, not sizes")
    tests = " ".join(f"{what:>13}" for what in TESTS)
    lines.append(f"{'network':14} {'scans':>6} {'steps':>6} {'seeds':>6} {tests}")
    for r in stored:
        psnr = " ".join(f"{r[what]:6.2f} ± {r[what + '_std']:4.2f}" for what in TESTS)
        lines.append(f"{r['competitor']:14} {r['n']:6} {r['steps']:6} {r['seeds']:6} {psnr}")
    return "\n".join(lines)


def _of_equal_steps(stored: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Neighbours that were allowed as many steps."""
    return [list(rows) for _, rows in itertools.groupby(stored, key=lambda r: r["steps"])]


def _picture(found: dict[str, Any], stored: list[dict[str, Any]], path: str) -> None:
    """What is left of Φ(g·b) - g·Φ(b) for the worst turn, on one scale; PSNR by the number of scans."""
    from ipbox import figures

    columns = min(4, len(found))
    rows = -(-len(found) // columns) + bool(stored)
    figure = figures.new(path, figsize=(max(3 * columns, 7), 3 * rows))
    grid = figure.add_gridspec(rows, columns)
    for k, (name, error) in enumerate(found.items()):
        ax = figure.add_subplot(grid[k // columns, k % columns])
        shown = ax.imshow(error.found - error.expected, vmin=-LIMIT, vmax=LIMIT, cmap="RdBu_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{METHODS[name]}\n{error.worst:.1e}", fontsize=8)
    figure.colorbar(shown, ax=figure.axes, extend="both", label="Φ(g·b) - g·Φ(b), 1/mm")
    if stored:
        ax = figure.add_subplot(grid[rows - 1, :])
        for k, competitor in enumerate(dict.fromkeys(r["competitor"] for r in stored)):
            of = [r for r in stored if r["competitor"] == competitor]
            for what, style in (("upright", "o-"), ("turned", "s--")):
                for j, alike in enumerate(_of_equal_steps(of)):  # no line between what learned for unequal times
                    n, psnr, std = ([r[key] for r in alike] for key in ("n", what, f"{what}_std"))
                    label = None if j else f"{competitor}, {what}"
                    ax.errorbar(n, psnr, std, fmt=style, color=f"C{k}", capsize=2, label=label)
        limits = {r["n"]: f"{r['n']}\n{r['steps']} steps" for r in stored}
        ax.set(xscale="log", xlabel="scans to learn from, and steps at most", ylabel="PSNR, dB")
        ax.set_xticks(list(limits), limits.values(), fontsize=8)
        ax.minorticks_off()
        ax.legend(fontsize=7, ncols=3)
    figures.shown(figure, path)
