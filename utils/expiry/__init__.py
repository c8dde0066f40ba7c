"""Clusters that expire: what is due with each, a warning before, and their deletion under the target's lock."""
