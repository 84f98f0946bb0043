"""The commands of ``npdiff`` (``train``, ``sample``, ``edit``, ...), one module each."""
