"""How the documentation is built: ``python -m sphinx -W -b html docs docs/_build``."""

from modelarts import __version__

project = "modelarts"
author = "The modelarts developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "modelarts " + release
html_show_copyright = False
html_domain_indices = False  # of the modules it would list two
# So that the lines of code, which may have 100 characters, need not be scrolled.
html_theme_options = {"light_css_variables": {"code-font-size": "75%"}}
