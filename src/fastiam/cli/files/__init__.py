"""Files of requests and results: readers and writers of each format, and the jobs that decide whole files and folders."""
