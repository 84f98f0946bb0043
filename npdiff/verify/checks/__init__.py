"""The checks of the labelled equations, a file for each part of the package."""
