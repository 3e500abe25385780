"""The wire to AWS: event streams both ways on HTTP/2, their frames, signatures, TLS and proxies."""
