"""Where moto differs from the real service in what the pipeline relies on."""
