"""What of the keeper runs on the host, with the standard library alone.

:mod:`.bootstrap` runs first; :mod:`.attach` finds a keeper by its :mod:`.record`, or tells what became of the
:mod:`.previous` one and goes on to :mod:`.starting`, and hands the carrier over. :mod:`.guardian` is the keeper's
parent and clears up behind it. :mod:`.serving` is the life of the keeper's process, :mod:`.program` what it does, with
its :mod:`.conversations`, :mod:`.processes`, :mod:`.logs`, :mod:`.lease` and :mod:`.journal`.
"""
