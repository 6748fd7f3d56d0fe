//! `device.toml` as scenarios need it.
//!
//! It refuses to know defaults: what is not set is left to the program.

use std::fmt::Write as _;

/// What a scenario sets in `device.toml`; everything else keeps the program's default.
#[derive(Clone, Debug, Default)]
pub struct DeviceSettings {
    /// Longest hold in seconds; short ones keep scenarios quick.
    pub hold_s_max: Option<u64>,
    /// URL of the proxy, which is then required.
    pub proxy_url: Option<String>,
    /// File with the proxy's credentials, relative to the device's folder.
    pub secret_file: Option<String>,
    /// CA files or folders, relative to the device's folder.
    pub extra_ca_files: Vec<String>,
    /// Program and arguments run after each change.
    pub on_change: Vec<String>,
    /// Time limit of that program in seconds.
    pub time_limit_s: Option<u64>,
    /// Further tables, as they stand in the file.
    pub tables: String,
}

impl DeviceSettings {
    /// Returns settings for a required proxy, with the shortest hold.
    #[must_use]
    pub fn behind(proxy_url: String) -> Self {
        Self {
            proxy_url: Some(proxy_url),
            ..Self::direct()
        }
    }

    /// Returns settings without a proxy, with the shortest hold.
    #[must_use]
    pub fn direct() -> Self {
        Self {
            hold_s_max: Some(5),
            ..Self::default()
        }
    }

    /// Trusts one more CA file or folder.
    #[must_use]
    pub fn trusting(mut self, file: &str) -> Self {
        self.extra_ca_files.push(file.to_owned());
        self
    }

    /// Reads the proxy's credentials from a file.
    #[must_use]
    pub fn with_secret(mut self, file: &str) -> Self {
        self.secret_file = Some(file.to_owned());
        self
    }

    /// Runs a program after each change.
    #[must_use]
    pub fn running(mut self, command: &[&str]) -> Self {
        self.on_change = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds tables, as they stand in the file.
    #[must_use]
    pub fn with_tables(mut self, tables: &str) -> Self {
        self.tables.push_str(tables);
        self
    }

    /// Returns the text of the file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        if let Some(seconds) = self.hold_s_max {
            let _infallible = writeln!(text, "hold_s_max = {seconds}");
        }
        if !self.extra_ca_files.is_empty() {
            let _infallible = writeln!(text, "extra_ca_files = {}", list(&self.extra_ca_files));
        }
        if let Some(url) = &self.proxy_url {
            let _infallible = writeln!(text, "[proxy]\nurl = {}", quoted(url));
            if let Some(file) = &self.secret_file {
                let _infallible = writeln!(text, "secret_file = {}", quoted(file));
            }
        }
        if !self.on_change.is_empty() {
            let _infallible = writeln!(text, "[on_change]\ncommand = {}", list(&self.on_change));
            if let Some(seconds) = self.time_limit_s {
                let _infallible = writeln!(text, "time_limit_s = {seconds}");
            }
        }
        text.push_str(&self.tables);
        text
    }
}

/// A TOML basic string and a JSON string agree on everything that a scenario writes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::DeviceSettings;

    #[test]
    fn settings_write_only_what_is_set() {
        let check = |settings: DeviceSettings, expected: &str| {
            assert_eq!(settings.to_toml(), expected);
        };
        check(DeviceSettings::default(), "");
        check(DeviceSettings::direct(), "hold_s_max = 5\n");
        check(
            DeviceSettings::behind("http://127.0.0.1:3128".to_owned())
                .with_secret("proxy.secret")
                .trusting("corp.pem"),
            "hold_s_max = 5\nextra_ca_files = [\"corp.pem\"]\n[proxy]\nurl = \"http://127.0.0.1:3128\"\nsecret_file = \"proxy.secret\"\n",
        );
        check(
            DeviceSettings::default().running(&["/bin/sh", "a \"b\""]),
            "[on_change]\ncommand = [\"/bin/sh\", \"a \\\"b\\\"\"]\n",
        );
    }
}
