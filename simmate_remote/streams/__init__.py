"""Streams that outlive the carriers they travel on: one framed protocol, the same at both ends.

- :mod:`.frames`: what travels, and how a carrier's bytes become frames again.
- :mod:`.sending`, :mod:`.receiving`: the two halves of one stream; offsets, acknowledgement, credit.
- :mod:`.multiplexer`: the protocol's state, without any input or output.
- :mod:`.events`: what it tells the application.
- :mod:`.conversation`: the same on asyncio: carriers underneath, streams on top.
- :mod:`.carrier`: the handshake that joins a carrier to a conversation, and the watch for its silent loss.
- :mod:`.transport`: a stream in the form of an asyncio transport.
- :mod:`.splice`: joins a stream and a socket; :mod:`.forward` does so for each connection to a port.
- :mod:`.calls`: requests and answers over any of them.

The package uses the standard library alone, for the keeper runs it on the host; see docs/protocol.md.
"""
