"""A DANDI archive in memory (API and bucket) on loopback, for tests, demos and benchmarks."""

from .faults import Fault, Faults
from .handler import LogEntry
from .server import DEFAULT_METADATA, DandiDouble, extract_metadata

__all__ = ["DEFAULT_METADATA", "DandiDouble", "Fault", "Faults", "LogEntry", "extract_metadata"]
