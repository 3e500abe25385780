"""An emulator of AWS's speech services that speaks their wire protocols, for your tests and ours."""
