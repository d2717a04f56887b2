"""placeholder: written by the database work"""
from __future__ import annotations
from dataclasses import dataclass
from fastopp.errors import FastOppError
class DatabaseURLError(FastOppError):
    """The database URL cannot be used."""
@dataclass(frozen=True)
class DatabaseURL:
    @classmethod
    def parse(cls, text: str, *, require_tls: bool = False) -> DatabaseURL: return cls()
