//! Bodies of the fuzz targets: plain functions over bytes, also called by ordinary tests.
//!
//! They refuse to return anything: a finding is a panic.
