"""The testing kit: scripted providers, virtual time and conformance suites."""
