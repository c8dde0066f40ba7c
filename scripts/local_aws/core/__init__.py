"""What every service of the embedded AWS shares: the clock, faults, errors, credentials, certificates, logs."""
