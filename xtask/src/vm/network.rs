//! The wire between the guest's two NICs: taps on a bridge, in a network namespace of their own.

use anyhow::Result;

use crate::shell;

/// Prefix of the namespaces' names.
const PREFIX: &str = "vxtap-vm-";

/// RX queues of the receiving NIC.
pub(super) const QUEUES: u32 = 2;

/// A network namespace; removed when dropped.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) namespace: String,
}

impl Network {
    /// Makes the taps `tap0` and `tap1`, the second with [`QUEUES`] queues.
    pub(super) fn new() -> Result<Self> {
        // Leftovers of a run that was killed; without root there are none.
        let _ = vxtap_tests::remove_stale(PREFIX);
        let network = Self { namespace: format!("{PREFIX}{}-0", std::process::id()) };
        ip(&["netns", "add", &network.namespace])?;
        let inside = |arguments: &str| {
            let all: Vec<_> =
                ["-n", &network.namespace].into_iter().chain(arguments.split(' ')).collect();
            ip(&all)
        };
        inside("link add bridge type bridge ageing_time 0")?;
        inside("tuntap add tap0 mode tap")?;
        inside("tuntap add tap1 mode tap multi_queue")?;
        for device in ["tap0", "tap1"] {
            inside(&format!("link set {device} mtu 1600 master bridge up"))?;
        }
        inside("link set bridge mtu 1600 up")?;
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.namespace]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    shell::run(shell::as_root("ip")?.args(arguments))
}
