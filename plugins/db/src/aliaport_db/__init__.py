"""Aliaport plugin: the PostgreSQL server that the service depends on."""
