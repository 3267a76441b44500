"""Markdown from untrusted files."""

import re

from hypothesis import given
from hypothesis import strategies as st

from genreclf.app.markdown import markdown_html


def test_headings_stand_below_those_of_their_page():
    shown = markdown_html("# One\n\n## Two\n\n##### Five\n", 3)
    assert re.findall(r"<(h\d)>(\w+)</(h\d)>", shown) == [
        ("h3", "One", "h3"),
        ("h4", "Two", "h4"),
        ("h6", "Five", "h6"),
    ]
    assert "<h3>Two</h3>" in markdown_html("## Two\n", 3)


@given(st.text(st.sampled_from("#*_`[]()<>!|-:$&\n\t abhttp./\u202e"), max_size=200))
def test_no_element_requests_or_links_to_another_host(text):
    tags = set(re.findall(r"<(\w+)", markdown_html(text)))
    text_tags = {"div", "p", "em", "strong", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "br"}
    table_tags = {"table", "thead", "tbody", "tr", "th", "td"}
    assert tags <= text_tags | table_tags | {"h1", "h2", "h3", "h4", "h5", "h6"}
