"""A finding: one fact worth acting on, as every judgement of a state gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["ok", "info", "warning", "critical"]
# That all is well comes before notes on it, and after anything that asks to be done.
URGENCY: Mapping[str, int] = {"critical": 0, "warning": 1, "ok": 2, "info": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact worth acting on; `next` is the verb that would, `facts` what the sentence rests on."""

    code: str
    severity: Severity
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None
