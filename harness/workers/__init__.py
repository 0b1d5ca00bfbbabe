"""The shell around the core: what Ray runs where, and the driver, the one writer of a store."""
