"""What runs at both ends of a transfer: sender and receiver. It travels to the host: the standard library alone."""
