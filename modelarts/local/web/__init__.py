"""The WSGI application: REST, IAM and the pages of the boards."""
