"""The layer: what the ten handlers share. Imports point one way: handlers, common, domain modules, errors."""
