"""Builds what the template deploys: a layer and eleven functions, the same bytes wherever and whenever they are built.

Needs nothing but the standard library: it runs before anything of the project has been installed.
"""
