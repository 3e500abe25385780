"""Pure decisions over values: no await, no clock, no I/O."""
