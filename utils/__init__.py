"""The layer: what the eleven handlers share. Imports point one way: handlers, common, domain modules, errors."""
