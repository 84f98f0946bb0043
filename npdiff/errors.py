"""The exceptions of npdiff; messages name the value, what was expected, and the fix."""


class InputError(ValueError):
    """An argument, file or setting cannot be used."""


class TrainingError(RuntimeError):
    """Training cannot continue, for example after a loss of NaN; the last checkpoint is kept."""
