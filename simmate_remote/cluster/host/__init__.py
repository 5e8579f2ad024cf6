"""What of the cluster runs on the host: the nursery, and the scheduler and nannies that it brings up."""
