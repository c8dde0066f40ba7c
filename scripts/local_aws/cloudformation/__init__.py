"""CloudFormation: templates, stacks and change sets, and how each type of resource is created, updated and deleted."""
