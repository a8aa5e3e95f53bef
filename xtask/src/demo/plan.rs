//! The traffic of the demo, and the configuration that receives it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Outer source address of the first session; the next ones follow, as `vxgen --sessions` numbers
/// them.
const FIRST_SOURCE: [u8; 4] = [10, 0, 1, 1];

/// VNI of the first session.
const FIRST_VNI: u32 = 100;

/// Rings that hold what comes in 160 ms at the default rate: on a busy machine of two CPUs a worker
/// may have to wait that long for its turn, and the demo is about frames that all arrive.
const MEMORY: &str = "[memory]\nper_queue_mib = 128\nfill_ring = 8192\nrx_ring = 8192\n";

/// Traffic of the demo, and the programs that send and receive it.
#[derive(Debug)]
pub(super) struct Plan {
    /// Number of frames.
    pub(super) frames: u64,
    /// Frames per second, as an argument of vxgen.
    pub(super) rate: String,
    /// Mirror sessions, 1 to 64.
    pub(super) sessions: u32,
    /// Directory with vxtap and vxgen.
    pub(super) programs: PathBuf,
}

impl Plan {
    /// Returns the arguments that make `vxgen verify` expect the frames of `vxgen run`.
    pub(super) fn traffic_arguments(&self) -> Vec<String> {
        let [a, b, c, d] = FIRST_SOURCE;
        let values = [
            ("--count", self.frames.to_string()),
            ("--sessions", self.sessions.to_string()),
            ("--outer-source", format!("{a}.{b}.{c}.{d}")),
            ("--first-vni", FIRST_VNI.to_string()),
        ];
        values.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Returns the name of the session with this number, from 0.
    pub(super) fn session_name(number: u32) -> String {
        format!("session-{number}")
    }

    /// Returns vxtap's configuration: the sessions by source and VNI, one pcapng file.
    pub(super) fn config(&self, capture: &Path) -> String {
        let mut text =
            format!("# Written by `cargo xtask demo`.\n{MEMORY}\n[sessions]\nunknown = \"pass\"\n");
        let [a, b, c, d] = FIRST_SOURCE;
        for number in 0..self.sessions {
            let (name, vni) = (Self::session_name(number), FIRST_VNI + number);
            let source = format!("{a}.{b}.{c}.{}", u32::from(d) + number);
            let entry =
                format!("\n[[session]]\nname = \"{name}\"\nvni = {vni}\nsource = \"{source}\"\n");
            text.push_str(&entry);
        }
        // A TOML literal string takes every path but one with a single quote in it.
        let path = capture.display();
        let _ = write!(text, "\n[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = '{path}'\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_declares_the_sessions_that_vxgen_numbers() {
        let plan = Plan { frames: 10, rate: "1kpps".into(), sessions: 2, programs: PathBuf::new() };
        assert_eq!(
            plan.config(Path::new("/tmp/demo.pcapng")),
            "# Written by `cargo xtask demo`.\n\
             [memory]\nper_queue_mib = 128\nfill_ring = 8192\nrx_ring = 8192\n\
             \n[sessions]\nunknown = \"pass\"\n\
             \n[[session]]\nname = \"session-0\"\nvni = 100\nsource = \"10.0.1.1\"\n\
             \n[[session]]\nname = \"session-1\"\nvni = 101\nsource = \"10.0.1.2\"\n\
             \n[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = '/tmp/demo.pcapng'\n"
        );
        assert_eq!(
            plan.traffic_arguments().join(" "),
            "--count 10 --sessions 2 --outer-source 10.0.1.1 --first-vni 100"
        );
    }
}
