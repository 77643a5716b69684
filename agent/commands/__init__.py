"""What ``tunegate-agent``'s commands do once their settings are read; imported by name, late."""
