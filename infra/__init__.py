"""What surrounds the functions: how they are deployed, and the local world."""
