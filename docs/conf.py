"""Sphinx's settings; `make docs` (``python -m tests.site``) writes what it reads, and runs it."""

import os
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import ipbox  # noqa: E402

project, author, copyright = "ipbox", "ipbox developers", "ipbox developers"
version = release = ipbox.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_gallery.gen_gallery"]
extensions += ["tests.site.mathml", "tests.site.docstrings", "tests.site.gallery", "tests.site.links"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"ipbox {version}"
html_copy_source = html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["static"]
html_css_files = ["site.css"]
exclude_patterns = ["static"]
language = "en"
default_role = "literal"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# examples and tables of commands are text where they are no Python
suppress_warnings = ["misc.highlighting_failure", "config.cache"]

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "build" / "site-tutorials")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\d\d_",
    "plot_gallery": os.environ.get("IPBOX_SITE_GALLERY") == "1",
    "image_scrapers": ("tests.site.gallery.pictures",),
    "reset_modules": ("tests.site.gallery.fresh",),
    "within_subsection_order": "FileNameSortKey",
    "parallel": int(os.environ.get("IPBOX_SITE_JOBS", "1")),
    "show_memory": False,
    "download_all_examples": False,
    "copyfile_regex": "",
    "line_numbers": False,
    "remove_config_comments": True,
}
warnings.filterwarnings("ignore", message=".*joblib.*")
