"""The verification policy, and what is made of what the checks have found. It knows no SQL but a policy's own."""
