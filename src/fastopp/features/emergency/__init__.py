"""Emergency access where there is no shell and all passwords are lost."""

OPERATIONS = {"routes": ("/oppman/emergency",)}
