"""The emulator in a terminal: logs, rules that fire, and where everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from leapcell_emulator.events import Event

if TYPE_CHECKING:
    from leapcell_emulator.emulator import Emulator  # 150 ms

_COLOURS = (36, 32, 35, 34, 33)  # ANSI's, one instance each


class Screen:
    """Prints logs with the name of who wrote them, and what the emulator has to say."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colourful = stream.isatty()

    def line(self, name: str, line: str) -> None:
        """Print a line of a log, with the name of what wrote it."""
        digits = "".join(filter(str.isdigit, name))
        colour = _COLOURS[int(digits) % len(_COLOURS)] if digits else 37
        self._write(f"{self._paint(f'{name:>5} |', colour)} {line}")

    def event(self, event: Event) -> None:
        """Print an event, with the source of its rule."""
        text = f"{event.rule} " if event.rule else ""
        text += event.message
        about = [event.path, event.instance if event.instance not in event.message else ""]
        text += "".join(f" ({part})" for part in about if part)
        if event.rule and event.level != "info":
            text += f"\n      {event.evidence}: {event.source}; {event.option} changes it"
        colour = {"info": 90, "warning": 33, "error": 31}[event.level]
        self._write(self._paint(f"   ** | {text}", colour))

    def say(self, text: str) -> None:
        """Print what the emulator reports of itself."""
        for line in text.splitlines():
            self._write(self._paint(f"   ** | {line}", 1))

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colourful else text

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def welcome(emulator: Emulator) -> str:
    """Return what to print when all is up."""
    state = emulator.state()
    names = ", ".join(state["services"]) or "none"
    lines = [
        f"{state['name']} is at {state['urls']['public']} ({len(state['instances'])} instances, up in "
        f"{emulator.start_seconds:.1f} s)",
        *([f"Async requests go to {state['urls']['async']}"] if "async" in state["urls"] else []),
        *(
            [f"Its certificate is by an authority of yours: let the browser trust {emulator.authority}, once"]
            if emulator.authority
            else []
        ),
        f"What happens in it: {state['urls']['page']}",
        f"Sandbox: {state['sandbox']}; memory: {_enforced(state, 'memory')}; processor: {_enforced(state, 'cpu')}",
        f"Services: {names}",
    ]
    return "\n".join(lines)


def _enforced(state: dict[str, Any], what: str) -> str:
    switch = "memory_cap" if what == "memory" else "cpu_share"
    if not next(rule["value"] for rule in state["rules"] if rule["name"] == switch):
        return "not limited"
    if all(instance[f"{what}_limited"] for instance in state["instances"]):
        return "limited by the kernel"
    return "watched, since no control group can be made here" if what == "memory" else "not limited: no control group"
