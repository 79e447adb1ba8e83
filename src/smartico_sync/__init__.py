"""Watches views in an operator's replica database and tells Smartico what changed."""

__all__ = ["__version__"]

__version__ = "0.2.0"
