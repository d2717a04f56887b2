"""An answer's markdown as HTML that is safe to put into a page, regardless of what the model was made to write."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# No pictures: by fetching one its host would learn who reads what.
TAGS = (
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "blockquote", "pre", "hr", "ol", "ul", "li"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("a", "br", "code", "em", "s", "strong"),
)
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = ("http", "https", "mailto")


def to_html(text: str) -> str:
    """Render CommonMark with tables, strikethrough and line breaks as typed.

    Raw HTML is shown as text. Links open in a new tab, send it no address, and lead to other sites only: one to this
    site, like `/logout`, would act in the reader's name.
    """
    import nh3  # noqa: PLC0415 - only the chat needs it

    return nh3.clean(
        _parser().render(text),
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes=set(SCHEMES),
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 18 ms, and only the chat needs it

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    return parser.enable(["table", "strikethrough"]).disable("image")
