"""Formulas as MathML, which browsers show without a script or a network, by docutils' own converter."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from docutils.utils.math.unichar2tex import uni2tex_table
from sphinx.util import logging

# what the converter does not know, in what it does
PLAIN = {"½": r"\tfrac{1}{2}", "‖": r"\| ", "²": "^{2}", "⁻¹": "^{-1}", "ᵀ": "^{T}", "∘": r"\circ ", "·": r"\cdot "}
PLAIN |= {r"\mathrel": "", r"\textstyle": "", r"\dots": r"\ldots"}
GREEK = re.compile("[Α-ω]")


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def converted(tex: str, block: bool) -> str:
    """MathML of a formula; Greek letters may stand as they are."""
    for sign, plain in PLAIN.items():
        tex = tex.replace(sign, plain)
    tex = re.sub(r"\\([bB]igg?)(?![a-z])", r"\\\1l", tex)
    tex = re.sub(r"\\[td]?frac(\d)(\w)", r"\\frac{\1}{\2}", tex)
    table = {code: f"{text} " for code, text in uni2tex_table.items() if code > 127 and not GREEK.match(chr(code))}
    return tex2mathml(tex.translate(table), as_block=block)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_told(node, block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(_told(node, block=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def _told(node: Any, block: bool) -> str:
    try:
        return converted(node.astext(), block)
    except MathError as err:
        logging.getLogger(__name__).warning("%s: %s", err, node.astext(), location=node)
        return f"<code>{html.escape(node.astext())}</code>"
