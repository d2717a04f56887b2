"""One bucket of an S3 service, through obstore."""
