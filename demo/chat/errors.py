"""The errors of a chat, in words that give nothing away: a provider's own message may hold parts of the key."""

from __future__ import annotations

from types import MappingProxyType

from fastopp.errors import FastOppError

MAX_RETRY_AFTER = 3600  # seconds; a longer wait is not worth naming


class ChatError(FastOppError):
    """The chat cannot answer at the moment."""

    status = 502
    hint: str | None = "Try again in a moment."

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.extensions = MappingProxyType({"error": str(self)})  # the key that FastOpp 0.4.8 answers with


class BadChatRequest(ChatError):
    """The chat cannot read this request."""

    status = 400
    hint = 'Send JSON like {"message": "Hello"}.'


class ProviderRefused(ChatError):
    """The AI service does not accept this server's key."""

    hint = "The owner of this site should check OPENROUTER_API_KEY."


class ProviderBroke(ChatError):
    """The AI service failed before its answer was complete."""


class ProviderNonsense(ChatError):
    """The AI service answered with something that is no answer."""

    hint = "The owner of this site should check OPENROUTER_BASE_URL."


class ProviderUnreachable(ChatError):
    """The AI service cannot be reached."""

    status = 503


class ProviderTimeout(ChatError):
    """The AI service took too long to answer."""

    status = 504


class ProviderBusy(ChatError):
    """The AI service takes no more questions for now."""

    status = 503

    def __init__(self, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds, None when the service did not say."""
        wait = None if retry_after is None else max(1, min(retry_after, MAX_RETRY_AFTER))
        super().__init__(hint=None if wait is None else f"Try again in {wait} seconds.")
        if wait is not None:
            self.headers = MappingProxyType({"Retry-After": str(wait)})
