"""The laboratory: npdiff's own evidence. Checks of every equation, errata, golden values."""
