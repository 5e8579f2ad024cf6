"""The doctor: named checks of the way to a host, of the host, and of this machine; what is wrong, and what mends it.

:func:`simmate_remote.doctor.examine.examine` runs them; a check is a :class:`simmate_remote.doctor.check.Check`.
Nothing is imported here: what is in :mod:`.host` runs on hosts, which have the standard library alone.
"""
