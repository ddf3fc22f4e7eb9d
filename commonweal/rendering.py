"""Documents from templates: HTML escapes whatever is put in, Markdown what goes through `plain`."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from commonweal.protocol.types import Wei

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|&~$:.-])")
_TOKEN = 10**18  # wei


def render(template: str, **values: object) -> str:
    """`template`: a file in `commonweal/templates`. Raises what a wrong template raises."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("commonweal"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": escape_markdown, "tokens": format_tokens}
    return environment


def escape_markdown(text: object) -> str:
    """A stranger's words as words: no markup, no HTML, no line of their own."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def format_tokens(wei: Wei) -> str:
    """Exact: tokens with as many places as there are wei to tell."""
    whole, part = divmod(int(wei), _TOKEN)
    return f"{whole:,}" + (f".{part:018}".rstrip("0") if part else "")
