"""The templates: no CDN, no inline handlers, nonces for inline scripts, the CSRF token with each form and script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastopp.cli.adopt.handlers import Handlers
from fastopp.cli.adopt.python import SESSION_KEYS
from fastopp.cli.adopt.report import Report

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_LINK = re.compile(r"<link\b[^>]*>", re.IGNORECASE)
_ADDRESS = re.compile(r"""\b(?:src|href)\s*=\s*["'](?:https?:)?//([^"']+)["']""", re.IGNORECASE)
_TYPE = re.compile(r"""\btype\s*=\s*["']([^"']*)["']""", re.IGNORECASE)
_REFERENCE = re.compile(r"""(\{%-?\s*(?:extends|include|import|from)\s+)(["'])([^"']+)\2""")
_FORM = re.compile(r"""<form\b[^>]*\bmethod\s*=\s*["']?post\b[^>]*>""", re.IGNORECASE)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_X_DATA = re.compile(r"""\bx-data\s*=\s*["']\s*([A-Za-z_$][\w$]*)\s*(?:\(|["'])""")
_TAILWIND_COLOUR = re.compile(r"""["']?([a-z][\w-]*)["']?\s*:\s*["'](#[0-9a-fA-F]{3,8})["']""")
_SESSION = re.compile(r"""request\.session(?:\.get\(\s*["'](\w+)["']\s*\)|\[["'](\w+)["']\]|\.(\w+))""")

_JAVASCRIPT = ("", "text/javascript", "application/javascript", "module")
# What strict pages cannot run, with what to do about it.
_REFUSED = {
    re.compile(r"\bhx-on[:\w-]*\s*=", re.IGNORECASE): "htmx cannot run code in attributes: move it to a script.",
    re.compile(r"\bhx-(?:vals|headers)\s*=\s*[\"']js:", re.IGNORECASE): "htmx cannot run code in attributes: use JSON.",
    re.compile(r"href\s*=\s*[\"']javascript:", re.IGNORECASE): "A `javascript:` address does not run: use a button.",
    re.compile(
        r"(?:x-[\w:.-]+|@[\w:.-]+|\s:[\w-]+)\s*=\s*\"[^\"]*(?:=>|`|\bwindow\.|\bdocument\.|\bfetch\()[^\"]*\""
    ): ("Alpine's strict build cannot run this expression: move it into a method of the component."),
}

TAILWIND, DAISYUI, HTMX, ALPINE = "tailwind", "daisyui", "htmx", "alpine"
_LOCAL = {
    re.compile(r"tailwindcss", re.IGNORECASE): TAILWIND,
    re.compile(r"daisyui", re.IGNORECASE): DAISYUI,
    re.compile(r"htmx\.org(?!.*/ext/)|/htmx(\.min)?\.js", re.IGNORECASE): HTMX,
    re.compile(r"alpinejs(?!/)|alpinejs@", re.IGNORECASE): ALPINE,
}

_ALPINE_NAMES = (
    '<script nonce="{{{{ csp_nonce }}}}">document.addEventListener("alpine:init", () => {{ for (const name of {names}) '
    "if (window[name]) Alpine.data(name, window[name]); }});</script>\n"
)


@dataclass
class Pages:
    """Rewrites the templates of a project for an app.

    Parameters
    ----------
    moved: static files that have another address, by path below /static.
    """

    app: str
    report: Report
    moved: dict[str, str] = field(default_factory=dict)
    handlers: Handlers = field(default_factory=Handlers)
    colours: dict[str, str] = field(default_factory=dict)
    """The project's own Tailwind colours."""

    def rewrite_all(self, texts: dict[str, str]) -> dict[str, str]:
        """Return the new text of each template, by its name."""
        components = sorted({name for text in texts.values() for name in _X_DATA.findall(text)})
        rewritten = {name: self._rewrite(name, text, components) for name, text in texts.items()}
        return {name: self._with_head(text) for name, text in rewritten.items()}

    def _rewrite(self, name: str, text: str, components: list[str]) -> str:
        self._report_refused(name, text)
        pieces, at = [], 0
        for script in _SCRIPT.finditer(text):
            pieces += [self._markup(name, text, at, script.start()), self._script(name, text, script, components)]
            at = script.end()
        return "".join([*pieces, self._markup(name, text, at, len(text))])

    def _markup(self, name: str, text: str, begin: int, end: int) -> str:
        line = text.count("\n", 0, begin) + 1
        markup = _LINK.sub(lambda found: self._link(name, line, text[begin:end], found), text[begin:end])
        markup = _REFERENCE.sub(rf"\1\g<2>{self.app}/\3\2", markup)
        markup = _SESSION.sub(_session_value, markup)
        for old, new in self.moved.items():
            markup = re.sub(rf"""(/static/|path=["']/?){re.escape(old)}""", rf"\g<1>{new}", markup)
        markup = self.handlers.extract(
            name, markup, lambda at, what: self.report.left(_path(name), line + markup.count("\n", 0, at), what)
        )
        return _FORM.sub(
            lambda found: (
                found[0] if "csrf" in markup[found.end() : found.end() + 200] else f"{found[0]}\n{{{{ csrf_field() }}}}"
            ),
            markup,
        )

    def _script(self, name: str, text: str, script: re.Match[str], components: list[str]) -> str:
        attributes, code = script[1], script[2]
        line = text.count("\n", 0, script.start()) + 1
        address = _ADDRESS.search(attributes)
        if address:
            return self._library(name, line, address[1], script[0], components)
        if "src" in re.sub(r"[\"'].*?[\"']", "", attributes) or _type(attributes) not in _JAVASCRIPT:
            return script[0]
        if re.search(r"\btailwind\.config\b", code):
            self.colours |= dict(_TAILWIND_COLOUR.findall(code))
            return ""
        for found in re.finditer(r"<[^>]*\son[a-z]+\s*=", code):
            at = line + code.count("\n", 0, found.start())
            self.report.left(
                _path(name), at, "An inline handler in HTML that a script builds does not run: use addEventListener."
            )
        return f'<script nonce="{{{{ csp_nonce }}}}"{attributes}>{_SESSION.sub(_session_value, code)}</script>'

    def _library(self, name: str, line: int, address: str, tag: str, components: list[str]) -> str:
        match _library_of(address):
            case "tailwind" | "daisyui":
                return ""
            case "htmx":
                return "<script src=\"{{ static_url('vendor/' ~ htmx_file) }}\"></script>"
            case "alpine":
                names = _ALPINE_NAMES.format(names=str(components).replace("'", '"')) if components else ""
                return f"{names}<script src=\"{{{{ static_url('vendor/' ~ alpine_file) }}}}\" defer></script>"
            case _:
                self.report.left(
                    _path(name), line, f"Still loaded from {address}: put the file into static/ to work offline."
                )
                return tag.replace("<script", '<script nonce="{{ csp_nonce }}"', 1)

    def _link(self, name: str, line: int, text: str, found: re.Match[str]) -> str:
        address = _ADDRESS.search(found[0])
        if address is None:
            return found[0]
        if _library_of(address[1]) in (TAILWIND, DAISYUI):
            return ""
        if "stylesheet" in found[0]:
            at = line + text.count("\n", 0, found.start())
            self.report.left(
                _path(name), at, f"Still loaded from {address[1]}: put the file into static/ to work offline."
            )
        return found[0]

    def _with_head(self, text: str) -> str:
        head = _HEAD.search(text)
        if head is None:
            return text
        lines = [
            '<meta name="csrf-token" content="{{ csrf_token() }}">',
            """<meta name="htmx-config" content='{"inlineScriptNonce": "{{ csp_nonce }}"}'>""",
            '<link rel="stylesheet" href="{{ static_url(\'app.css\') }}">',
            *(
                [f'<link rel="stylesheet" href="{{{{ static_url(\'{self.app}/theme.css\') }}}}">']
                if self.colours
                else []
            ),
            "<script src=\"{{ static_url('csrf.js') }}\"></script>",
            *(
                [f"<script src=\"{{{{ static_url('{self.app}/handlers.js') }}}}\"></script>"]
                if self.handlers.codes
                else []
            ),
        ]
        return text[: head.end()] + "".join(f"\n    {line}" for line in lines) + text[head.end() :]

    def _report_refused(self, name: str, text: str) -> None:
        for pattern, advice in _REFUSED.items():
            for found in pattern.finditer(text):
                self.report.left(_path(name), text.count("\n", 0, found.start()) + 1, advice)


def referenced(texts: Iterable[str]) -> set[str]:
    """Return the names of the templates that code and templates name."""
    return {name for text in texts for name in re.findall(r"""["']([\w./-]+\.(?:html|txt|xml|jinja2?))["']""", text)}


def _path(name: str) -> Path:
    return Path("templates") / name


def _type(attributes: str) -> str:
    found = _TYPE.search(attributes)
    return found[1].lower() if found else ""


def _library_of(address: str) -> str | None:
    return next((name for pattern, name in _LOCAL.items() if pattern.search(address)), None)


def _session_value(found: re.Match[str]) -> str:
    key = found[1] or found[2] or found[3]
    return f"session_value('{key}')" if key in SESSION_KEYS else found[0]
