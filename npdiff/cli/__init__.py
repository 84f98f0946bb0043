"""The commands: ``npdiff train``, ``sample``, ``eval`` and ``info``, one file each."""
