"""The keeper: a small process on the host that owns the far ends of streams and the session's processes.

Here: :mod:`.package` and :mod:`.launch` bring it there and start it, over one command of a link.
There: :mod:`.bootstrap` runs first, :mod:`.attach` finds or starts a keeper and hands the carrier over to it,
:mod:`.guardian` is its parent and clears up behind it, :mod:`.program` is the keeper itself, with its
:mod:`.processes`, :mod:`.logs` and :mod:`.lease`. What runs there uses the standard library alone.
"""
