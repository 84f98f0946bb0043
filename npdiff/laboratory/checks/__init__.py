"""The checks of the labeled equations, a file for each part of the package."""
