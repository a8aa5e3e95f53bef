//! Checks the capabilities that a privileged test needs before it starts.

use std::fs;

/// Capabilities for network namespaces (`CAP_SYS_ADMIN`), interfaces and AF_XDP sockets
/// (`CAP_NET_ADMIN`, `CAP_NET_RAW`) and eBPF programs (`CAP_BPF`, `CAP_PERFMON`), with the bit
/// numbers of
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/capability.h>.
const NEEDED: [(&str, u32); 5] = [
    ("CAP_SYS_ADMIN", 21),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_BPF", 39),
    ("CAP_PERFMON", 38),
];

/// Fails the test unless this process has the capabilities that privileged tests need.
///
/// # Panics
/// When a capability is missing: a privileged test never passes by doing nothing.
pub fn privileged() {
    let missing = missing_privileges();
    assert!(
        missing.is_empty(),
        "the privileged tests need root: this process lacks {}; run `cargo xtask test`",
        missing.join(", ")
    );
}

/// Returns the names of the capabilities that privileged tests need and this process lacks.
///
/// All of them when `/proc/self/status` cannot be read.
pub fn missing_privileges() -> Vec<&'static str> {
    let effective =
        fs::read_to_string("/proc/self/status").ok().as_deref().and_then(effective_capabilities);
    missing_from(effective.unwrap_or(0))
}

/// Finds the `CapEff` mask (`proc_pid_status(5)`) in the text of `/proc/self/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn missing_from(effective: u64) -> Vec<&'static str> {
    NEEDED.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_user_lacks_every_capability() {
        let status = "Name:\tcargo\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n";
        let effective = effective_capabilities(status).expect("the line is there");
        assert_eq!(
            missing_from(effective),
            ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"]
        );
    }

    #[test]
    fn root_in_a_container_without_bpf_is_told_which_one_is_missing() {
        let effective =
            effective_capabilities("CapEff:\t0000003fffffffff\n").expect("the line is there");
        assert_eq!(missing_from(effective), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing_from(0x1ff_ffff_ffff), Vec::<&str>::new());
    }
}
