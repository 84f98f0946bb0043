"""Pictures: image grids, strips, loss curves, the interactive page and the figures of a run."""
