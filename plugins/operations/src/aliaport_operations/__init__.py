"""Accounts, work orders, gate logs and sign-in of a port operator, as an Aliaport application."""
