"""The AI demo: a chat page and API in front of any service that speaks OpenAI's protocol; canned answers without one."""

from fastopp.apps import NavItem

NAVIGATION = [NavItem("AI chat", "/ai-demo")]
