"""What we know about Aurora: its resources, the calls that we make, and what the region offers.

Import the four names that a step needs from here, and everything else from the module that holds it.
"""

from utils.aurora_utils.client import ENGINE, Aurora, AuroraReader
from utils.aurora_utils.resources import Cluster, Instance, Snapshot

__all__ = ["ENGINE", "Aurora", "AuroraReader", "Cluster", "Instance", "Snapshot"]
