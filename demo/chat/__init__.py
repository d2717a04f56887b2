"""The AI demo: a chat with any service that speaks OpenAI's protocol, or with canned answers."""

from fastopp.core.apps import NavItem

NAVIGATION = [NavItem("AI chat", "/ai-demo", section="demos")]
