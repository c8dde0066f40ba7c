"""The PostgreSQL servers behind the clusters: binaries, volumes, set-up, processes."""
