"""Aliaport plugin: the exchange rates of the Turkish central bank (TCMB)."""
