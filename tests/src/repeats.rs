//! Number of repeats of a test.

use std::env;

/// Variable that `cargo xtask test --long` sets.
const LONG: &str = "VXTAP_LONG";

/// Returns `usual`, or `long` in `cargo xtask test --long`, which runs the tests that have
/// `again_and_again` in their names.
pub fn repeats(usual: u32, long: u32) -> u32 {
    if env::var_os(LONG).is_some() { long } else { usual }
}
