//! Brings the application to a revision: renders files, runs the command.
