"""One file a check, in a folder a family.  The file's name is the check's name and is written nowhere else."""
