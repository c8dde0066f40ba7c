"""An operation from its start to its end: who started it, whether it may be resumed, how it is closed."""
