"""The checks of the labeled equations; the folders mirror the package.

The checks of ``guidance/contrast.py`` are in ``checks/guidance/contrast.py``; a check of at least
three files of a folder is in its ``several.py``. Files with a leading underscore hold helpers.
"""
