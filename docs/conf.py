"""How the pages become a site: ``make docs``."""

import ruvector
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.nodes import make_refnode

project = "ruvector"
author = "the authors of ruvector"
release = version = ruvector.__version__
html_title = f"ruvector {release}"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_show_copyright = False
html_show_sourcelink = False
smartquotes = False  # code in types is to be copied

# Signatures and members come from what is imported; packages that integrations are for need not be
# installed to describe them.
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say them in words
autodoc_mock_imports = [
    "haystack", "joblib", "langchain_core", "llama_index", "networkx", "pydantic", "scipy",
    "sklearn", "torch",
    "torch_geometric",
]  # fmt: skip
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

# A link to a page, a heading or a function that is not there is a warning, and warnings are errors.
nitpicky = True
OTHERS = (
    "collections", "haystack", "langchain_core", "llama_index", "matplotlib", "networkx", "np",
    "npt", "numpy", "scipy", "sklearn", "torch", "torch_geometric", "typing",
)  # fmt: skip
nitpick_ignore_regex = [(r"py:.*", rf"({'|'.join(OTHERS)})\..*")]


def mathml(self, node, *, block):
    """Formulas as MathML, which browsers draw without a script from elsewhere."""
    text = node.astext().replace(r"\dots", r"\ldots")
    self.body.append(tex2mathml(text, as_block=block))
    raise nodes.SkipNode


def short_name(app, env, node, contnode):
    """Docstrings name things as users import them; find the one place where each is described."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    last = "".join(node["reftarget"].split()).removeprefix("ruvector.")
    found = {
        (entry.docname, entry.node_id)
        for name, entry in domain.objects.items()
        if name == last or name.endswith(f".{last}")
    }
    if len(found) != 1:
        return None
    (docname, anchor), here = found.pop(), node.get("refdoc")
    return make_refnode(app.builder, here, docname, anchor, contnode, node["reftarget"])


def setup(app):
    app.connect("missing-reference", short_name)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda self, node: mathml(self, node, block=False), None),
        block_renderers=(lambda self, node: mathml(self, node, block=True), None),
    )


html_math_renderer = "mathml"
