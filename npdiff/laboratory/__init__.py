"""Evidence for npdiff itself: checks of every equation, errata of the field, golden values."""
