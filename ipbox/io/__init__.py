"""Images, volumes and measurements from files."""
