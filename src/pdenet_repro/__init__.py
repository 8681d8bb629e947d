"""Residual networks motivated by partial differential equations, and the STL-10 study of Ruthotto & Haber (arXiv 1804.04272)."""

__version__ = "0.1.0"
