//! Makes a controller's folder: keys, TLS certificate, first bundle, configuration.
