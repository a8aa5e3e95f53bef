//! Accepted configurations, and the message of each refusal.

mod accepted;
mod files;
mod laws;
mod mirror;
mod shape;
mod values;

use std::fmt::Write as _;
use std::path::Path;

use super::{Config, ConfigError};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::from_toml(Path::new("vxtap.toml"), text)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("refused").to_string()
}

/// Asserts the message for each text; texts are one line unless they say `\n`.
fn assert_refusals(table: &[(&str, &str)]) {
    for (text, message) in table {
        assert_eq!(refusal(text), format!("vxtap.toml:{message}"), "{text:.200}");
    }
}

/// Writes a text as a TOML string.
fn toml_string(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        let _ = write!(escaped, "\\U{:08x}", u32::from(c));
    }
    format!("\"{escaped}\"")
}
