"""Who you are: credentials, signatures, and tokens from IAM."""
