"""The layer: what the handlers share. Imports point one way: handlers, common, domain modules, errors."""
