"""Services of the process: forks, output files, the garbage collector."""
