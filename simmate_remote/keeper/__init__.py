"""The keeper: a small process on the host that owns the far ends of streams and the session's processes.

Here: :mod:`.package` and :mod:`.launch` bring it there and start it, over one command of a link
(:mod:`.shell_command`); :mod:`.dialogue` hears what the host says meanwhile.

There: :mod:`.bootstrap` runs first; :mod:`.attach` finds a keeper by its :mod:`.record`, or tells what became of the
:mod:`.previous` one and goes on to :mod:`.starting`, and hands the carrier over. :mod:`.guardian` is the keeper's
parent and clears up behind it. :mod:`.serving` is the life of the keeper's process, :mod:`.program` what it does, with
its :mod:`.conversations`, :mod:`.processes`, :mod:`.logs`, :mod:`.lease` and :mod:`.journal`. What runs there uses
the standard library alone.
"""
