//! Logs: to standard error, as text or JSON, never with secrets.
