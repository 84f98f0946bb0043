"""The programs that measured the figures in the documentation: ``python -m benchmarks --help``."""
