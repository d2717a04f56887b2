"""Inline event handlers: `onclick="…"` becomes a function in the app's handlers.js."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_ATTRIBUTE = re.compile(r"""(?<=\s)on([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_VALUE = re.compile(r"""(["'])\{\{(.*?)\}\}\1|\{\{(.*?)\}\}""", re.DOTALL)

_JAVASCRIPT = """\
// The event handlers that were attributes of the pages' elements.
(() => {
  const handlers = {
%s  };
  const ON_TARGET = ["blur", "error", "focus", "load", "mouseenter", "mouseleave", "scroll"]; // these do not bubble
  const call = (element, event) => {
    const handler = handlers[element.getAttribute?.(`data-on-${event.type}`)];
    if (handler && handler.call(element, event) === false) event.preventDefault();
  };
  for (const type of %s) {
    const onTarget = ON_TARGET.includes(type);
    document.addEventListener(
      type,
      (event) => {
        for (const element of onTarget ? [event.target] : event.composedPath()) {
          call(element, event);
          if (event.cancelBubble) return;
        }
      },
      onTarget,
    );
  }
  window.addEventListener("load", (event) => call(document.body, event));
})();
"""


@dataclass
class Handlers:
    """The handlers of all templates of an app."""

    codes: dict[str, str] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)

    def extract(self, name: str, markup: str, left: Callable[[int, str], None]) -> str:
        """Return markup with each handler replaced by its name; report with `left` those that cannot be."""

        def replace(found: re.Match[str]) -> str:
            event, code = found[1].lower(), found[2] if found[2] is not None else found[3]
            arguments: list[str] = []

            def argument(value: re.Match[str]) -> str:
                quoted = value[2] is not None
                arguments.append((value[2] if quoted else f"({value[3].strip()})|tojson|forceescape").strip())
                text = f'this.getAttribute("data-on-{event}-{len(arguments) - 1}")'
                return text if quoted else f"JSON.parse({text})"

            code = _VALUE.sub(argument, code)
            if "{%" in code or "{{" in code:
                left(found.start(), f"`on{event}` holds template code: move it to a script.")
                return found[0]
            key = f"{name}:{len(self.codes) + 1}"
            known = next((each for each, other in self.codes.items() if other == code), None)
            self.codes.setdefault(known or key, html.unescape(code))
            self.types.add(event)
            values = "".join(f' data-on-{event}-{i}="{{{{ {each} }}}}"' for i, each in enumerate(arguments))
            return f'data-on-{event}="{known or key}"{values}'

        return _ATTRIBUTE.sub(replace, markup)

    def as_javascript(self) -> str:
        """Return the text of handlers.js."""
        functions = "".join(f'    "{key}": function (event) {{ {code} }},\n' for key, code in self.codes.items())
        return _JAVASCRIPT % (functions, str(sorted(self.types)).replace("'", '"'))
