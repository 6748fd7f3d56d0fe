//! The controller engine, by hand and with the devices of the simulator.

mod decide;
mod enrol;
mod order;
mod reports;
