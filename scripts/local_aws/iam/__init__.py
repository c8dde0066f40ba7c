"""IAM and STS: which permissions a call needs, and whether the caller's policies allow them."""
