//! One strict TOML file for each role: what the operator writes, and what the program may rely on.
//!
//! ```text
//!  controller.toml --ControllerConfig::load--> ControllerConfig
//!  device.toml + environment --DeviceConfig::load--> DeviceConfig
//! ```
//!
//! A file that is misspelt anywhere is refused as a whole, with file, line, key and remedy of
//! everything that is wrong. The reader itself is shared by all commands of Postern.

mod application;
mod controller;
mod device;
mod outlet;
#[cfg(test)]
mod tests;
mod window;

pub use application::{ApplyBy, Command, Delivery, LocalApi};
pub use controller::{ControllerConfig, NewController, NewListener, check_url};
pub use device::DeviceConfig;
pub use postern_console::config::{ConfigError, LogConfig, variable};

use postern_console::config::{egress, path_in, read_log, reader, resolve};
