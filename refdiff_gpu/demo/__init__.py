"""The demo's experiment on the device."""
