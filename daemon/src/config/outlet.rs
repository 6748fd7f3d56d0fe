//! How either role gets out, as its configuration says.
//!
//! Refuses to know more of a route than what an operator wrote of it.

use super::{ControllerConfig, DeviceConfig};
use postern_console::routes::Outlet;
use postern_egress::limits::{HOLD_CEILING_RUNG, HOLD_RUNGS_S};
use std::time::Duration;

/// How this program calls itself in HTTP.
const USER_AGENT: &str = concat!("postern/", env!("CARGO_PKG_VERSION"));

impl<'a> From<&'a DeviceConfig> for Outlet<'a> {
    fn from(config: &'a DeviceConfig) -> Self {
        Self {
            dir: &config.dir,
            proxy: &config.proxy,
            extra_ca_files: &config.extra_ca_files,
            hold_ceiling: Duration::from_secs(config.hold_s_max),
            user_agent: config.user_agent.as_deref().unwrap_or(USER_AGENT),
            has_quic: config.has_quic,
            last_time_s: None,
        }
    }
}

impl<'a> From<&'a ControllerConfig> for Outlet<'a> {
    fn from(config: &'a ControllerConfig) -> Self {
        let ceiling = HOLD_RUNGS_S.get(HOLD_CEILING_RUNG).copied();
        Self {
            dir: &config.dir,
            proxy: &config.proxy,
            extra_ca_files: &config.extra_ca_files,
            hold_ceiling: Duration::from_secs(ceiling.unwrap_or_default()),
            user_agent: USER_AGENT,
            has_quic: config.has_quic,
            last_time_s: None,
        }
    }
}
