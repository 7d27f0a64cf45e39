"""What people do with the stations: load tests, emergencies, maintenance, backups."""
