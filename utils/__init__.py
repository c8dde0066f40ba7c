"""The layer: what the eleven handlers share. Imports point one way: handlers, common, domain modules, errors."""

import gc
import os

if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # Imports make many objects and no garbage. utils.common switches collection on again, once a handler is complete.
    gc.disable()
