"""The errors npdiff raises on purpose: each says what was wrong, what was expected, what to do."""


class InputError(ValueError):
    """Something the caller gave cannot be used: a shape, a name, a file, a setting."""


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is no longer a number, say. The last good state is kept."""
