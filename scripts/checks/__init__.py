"""The checks of scripts/test.sh beside other people's checkers: what those do not see, or need to be given."""
