"""The list of monitors, and what is generated from it."""
