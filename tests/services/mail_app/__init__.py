"""An app that sends mails, for tests."""
