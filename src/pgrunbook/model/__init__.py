"""The frozen values that travel between the stations.  Nothing here talks to a server."""

from pgrunbook.model.names import dotted, literal, quote
from pgrunbook.model.reading import NotRead, Question, Reading, Snapshot, Unread, Window
from pgrunbook.model.server import Extension, Server, ServerRole, Service
from pgrunbook.model.verdict import (
    Advice,
    Basis,
    Blind,
    Effect,
    Finding,
    Kind,
    Lock,
    Scalar,
    Severity,
    StepSpec,
    Value,
    Verdict,
)

__all__ = [
    "Advice",
    "Basis",
    "Blind",
    "Effect",
    "Extension",
    "Finding",
    "Kind",
    "Lock",
    "NotRead",
    "Question",
    "Reading",
    "Scalar",
    "Server",
    "ServerRole",
    "Service",
    "Severity",
    "Snapshot",
    "StepSpec",
    "Unread",
    "Value",
    "Verdict",
    "Window",
    "dotted",
    "literal",
    "quote",
]
