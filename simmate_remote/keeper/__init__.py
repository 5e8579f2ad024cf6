"""The keeper: a small process on the host that owns the far ends of streams and the session's processes.

This is the near side: :mod:`.request` says how it is wanted; :mod:`.arrival` brings our first code and :mod:`.package`
there, and :mod:`.launch` starts it, over one command of a link (:mod:`.shell_command`); :mod:`.dialogue` hears what the
host says meanwhile; :mod:`.carriers` adds a second way to it.
What runs there is in :mod:`.host`.
"""
