"""Sphinx configuration: Markdown by MyST, theme furo, every warning an error."""

from __future__ import annotations

from bursar.version import __version__

project = "Bursar"
copyright = "the Bursar authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Bursar {version}"
html_static_path = ["_static"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
# Annotations are strings imported for type checking only; Sphinx cannot turn each of them into a link.
nitpick_ignore_regex = [(r"py:(class|obj|data|exc|meth|func|attr)", r".*")]
