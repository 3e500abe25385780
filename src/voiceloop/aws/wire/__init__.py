"""The wire to AWS: event streams both ways on HTTP/2, their frames, signatures, TLS and proxies.

``stream`` says what an event stream is, ``duplex`` carries one: signatures (``signing``) around messages
(``frames``), HTTP/2 (``http2``) over a connection (``link``, ``tls``, ``proxy``), what came (``inbox``) and what
should have come (``watch``).
"""
