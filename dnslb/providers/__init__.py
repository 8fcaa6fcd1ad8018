"""Where DNS is written: one module per provider behind `dnslb.ports.provider`."""
