//! A configuration with very many sessions needs memory in proportion to them, and not too much.

use std::fmt::Write as _;
use std::path::Path;

use allocation_counter::{AllocationInfo, measure};
use vxtap::Config;

/// Returns the allocations that reading a configuration with so many sessions makes.
fn allocations(sessions: u32) -> AllocationInfo {
    let mut text = String::new();
    for vni in 0..sessions {
        writeln!(text, "[[session]]\nname = \"s{vni}\"\nvni = {vni}").expect("a string grows");
    }
    measure(|| {
        let config = Config::from_toml(Path::new("large.toml"), &text).expect("it is valid");
        assert_eq!(config.sessions.len(), sessions as usize);
    })
}

#[test]
fn a_session_takes_little_memory_while_a_configuration_is_read() {
    let (small, large) = (allocations(2_000), allocations(20_000));
    // 1610 bytes when this was written, most of them in the parser's tree.
    assert!(large.bytes_max < 1_800 * 20_000, "{} bytes at a time", large.bytes_max);
    assert!(large.count_total < 11 * small.count_total, "{small:?}, {large:?}");
}
