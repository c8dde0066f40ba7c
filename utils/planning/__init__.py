"""Turn a request into a plan: the snapshot, its route, the cluster, what is deleted, and every call to come."""
