"""The host's edge: everything that touches the kernel."""
