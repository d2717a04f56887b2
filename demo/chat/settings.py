"""The settings of the chat: the AI service, and the key to it."""

from __future__ import annotations

from pydantic import Field, SecretStr

from fastopp.settings import AppSettings


class ChatSettings(AppSettings):
    """The AI service."""

    openrouter_api_key: SecretStr = Field(
        SecretStr(""), description="Key for the AI demo. Without it, the answers are canned."
    )
    openrouter_llm_model: str = Field(
        "meta-llama/llama-3.3-70b-instruct:free", description="Model that the AI demo uses."
    )
    openrouter_base_url: str = Field(
        "https://openrouter.ai/api/v1", description="URL of a service that supports OpenAI's chat protocol."
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="For your own code; FastOpp does not use it.")
