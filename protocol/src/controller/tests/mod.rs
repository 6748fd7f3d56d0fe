//! The controller engine, by hand and with the devices of the simulator.

mod actual;
mod admissions;
mod ahead;
mod bundle;
mod decide;
mod encryption;
mod enrol;
mod file;
mod hand;
mod hearing;
mod heartbeat;
mod intents;
mod invitations;
mod lives;
mod members;
mod order;
mod proof;
mod records;
mod recovery;
mod reports;
