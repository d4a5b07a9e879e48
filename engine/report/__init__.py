"""Reports on a whole server: INFO, MEMORY DOCTOR, LATENCY DOCTOR."""
