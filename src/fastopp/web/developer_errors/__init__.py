"""The error page of development: exception, code, local names, request, settings and SQL, with secrets masked."""
