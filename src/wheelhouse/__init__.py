"""From a recipe to a wheel that a fleet can install."""

__version__ = "0.1.0"
