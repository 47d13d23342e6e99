"""The list of monitors, and what is made of it."""
