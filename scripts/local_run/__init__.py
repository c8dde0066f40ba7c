"""The command that tries everything: production in an embedded AWS, a restore of it, and the proof that it worked."""
