"""Development: the embedded AWS and the commands around it. Nothing here is deployed."""
