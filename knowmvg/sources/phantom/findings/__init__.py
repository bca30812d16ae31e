"""What can be wrong with a simulated chest, one module a family: lung, pleura; ``plan`` says which occur together."""
