"""Aliaport: an async service that runs probe and metric plugins behind hard deadlines."""

__version__ = "3.1.0"

SERVICE = "aliaport-api"
"""The name of the service in responses and logs."""
