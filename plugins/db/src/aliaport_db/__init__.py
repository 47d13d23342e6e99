"""Aliaport plugin: the PostgreSQL that the service depends on."""
