//! The receivers that are compared, and their known properties. Each is one row of the tables.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};
use serde::Serialize;

/// One receiver with its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ReceiverSpec {
    /// Name in tables and on the command line.
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) program: ReceiverProgram,
    /// Place at which it takes the frames.
    pub(crate) source: CapturePoint,
    /// The receiver never sleeps: its user time does not depend on the number of frames.
    pub(crate) spins: bool,
    /// The receiver knows the time at which the XDP program saw a frame, so that its latency can be
    /// measured.
    pub(crate) has_times: bool,
}

/// Program that runs in the receiver's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum ReceiverProgram {
    /// `vxbench receive` with these arguments.
    Receive(Vec<String>),
    /// tcpdump on the kernel's vxlan device.
    Tcpdump,
    /// dumpcap on the kernel's vxlan device.
    Dumpcap,
}

/// Place at which a receiver takes the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum CapturePoint {
    /// An XDP program of its own.
    Xdp,
    /// The kernel's stack; the receiving end of the veth pair needs GRO then, or it takes no frames
    /// from an XDP program.
    Stack,
}

/// The built-in receivers by name, with the arguments of `vxbench receive`. The first word decides
/// the known properties.
const RECEIVERS: &[(&str, &str)] = &[
    ("vxtap-busy", "vxtap --wait busy"),
    ("vxtap-spin", "vxtap --wait busy --consumer-wait spin"),
    ("vxtap-adaptive", "vxtap --wait adaptive"),
    ("vxtap-interrupt", "vxtap --wait interrupt"),
    ("vxtap-3-consumers", "vxtap --wait adaptive --consumers 3"),
    ("vxtap-10-rules", "vxtap --wait adaptive --rules 10"),
    ("vxtap-1000-rules", "vxtap --wait adaptive --rules 1000"),
    ("xsk-rs-busy", "xsk-rs --wait busy"),
    ("xsk-rs-poll", "xsk-rs --wait poll"),
    ("tpacket", "tpacket"),
    ("packet", "packet"),
    ("recvmmsg", "recvmmsg"),
    ("xdp-drop", "xdp-drop"),
];

/// Arguments that make a receiver use its whole CPU at any load.
const SPINNING: [[&str; 2]; 2] = [["--wait", "busy"], ["--consumer-wait", "spin"]];

/// Receivers of the load ladder unless others are named: those that could show a livelock.
pub(crate) const LADDER: &[&str] =
    &["vxtap-busy", "vxtap-adaptive", "vxtap-interrupt", "xsk-rs-poll", "tpacket", "recvmmsg"];

impl ReceiverSpec {
    /// All built-in rows, in the order of the tables.
    pub(crate) fn all() -> Vec<Self> {
        let mut rows: Vec<Self> =
            RECEIVERS.iter().map(|(name, arguments)| Self::receive(name, arguments)).collect();
        let external = |name: &str, program| Self {
            name: name.to_owned(),
            program,
            source: CapturePoint::Stack,
            spins: false,
            has_times: false,
        };
        let end = rows.len() - 1;
        rows.insert(end, external("tcpdump", ReceiverProgram::Tcpdump));
        rows.insert(end + 1, external("dumpcap", ReceiverProgram::Dumpcap));
        rows
    }

    fn receive(name: &str, arguments: &str) -> Self {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let receiver = words.first().map_or("", String::as_str);
        let source = match receiver {
            "vxtap" | "xsk-rs" | "xsk-decap" | "xdp-drop" => CapturePoint::Xdp,
            _ => CapturePoint::Stack,
        };
        Self {
            name: name.to_owned(),
            source,
            spins: words.windows(2).any(|pair| SPINNING.iter().any(|spinning| pair == spinning)),
            has_times: receiver == "vxtap",
            program: ReceiverProgram::Receive(words),
        }
    }

    /// Returns the built-in receivers of these names, in that order, or all if there are no names;
    /// then the `added` ones.
    ///
    /// # Errors
    /// When a name is unknown or given twice.
    pub(crate) fn select(names: &[String], added: &[Self]) -> Result<Vec<Self>> {
        let all = Self::all();
        let mut rows = Vec::new();
        for name in names {
            let known = || all.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
            let row = all.iter().find(|row| row.name == *name);
            rows.push(
                row.with_context(|| format!("there is no row `{name}`: choose from {}", known()))?
                    .clone(),
            );
        }
        if names.is_empty() {
            rows = all;
        }
        rows.extend_from_slice(added);
        for (index, row) in rows.iter().enumerate() {
            let twice = rows[..index].iter().any(|other| other.name == row.name);
            ensure!(!twice, "the row `{}` is given twice: give each a name of its own", row.name);
        }
        Ok(rows)
    }
}

impl FromStr for ReceiverSpec {
    type Err = Error;

    /// Reads `NAME=RECEIVER ARGUMENTS`, a user-defined receiver.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('=').filter(|(name, arguments)| {
            !name.trim().is_empty() && !name.contains(' ') && !arguments.trim().is_empty()
        });
        let (name, arguments) = parts.with_context(|| {
            format!("`{text}` is no row: write NAME=RECEIVER ARGUMENTS, as `v2=vxtap --wait busy`")
        })?;
        Ok(Self::receive(name, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> ReceiverSpec {
        ReceiverSpec::all().into_iter().find(|row| row.name == name).expect("it is built in")
    }

    #[test]
    fn what_is_known_of_a_row_follows_from_its_receiver() {
        assert!(row("vxtap-busy").spins && row("vxtap-spin").spins && row("xsk-rs-busy").spins);
        assert!(!row("vxtap-adaptive").spins && !row("tpacket").spins);
        assert!(row("vxtap-3-consumers").has_times && !row("xsk-rs-busy").has_times);
        for name in ["vxtap-busy", "xsk-rs-poll", "xdp-drop"] {
            assert_eq!(row(name).source, CapturePoint::Xdp, "{name}");
        }
        for name in ["tpacket", "packet", "recvmmsg", "tcpdump", "dumpcap"] {
            assert_eq!(row(name).source, CapturePoint::Stack, "{name}");
        }
    }

    #[test]
    fn without_names_all_rows_are_measured() {
        let rows = ReceiverSpec::select(&[], &[]).expect("nothing is wrong");
        assert_eq!(rows.len(), RECEIVERS.len() + 2);
        assert_eq!(rows.last().map(|row| row.name.as_str()), Some("xdp-drop"));
    }

    #[test]
    fn rows_are_taken_in_the_order_named_and_own_ones_follow() {
        let own: ReceiverSpec =
            "small=vxtap --wait busy --set memory.chunk_size=2048".parse().expect("a row");
        let rows =
            ReceiverSpec::select(&["tpacket".into(), "vxtap-busy".into()], &[own]).expect("fine");
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["tpacket", "vxtap-busy", "small"]);
        assert!(rows[2].spins && rows[2].has_times);
    }

    #[test]
    fn a_consumer_that_spins_makes_its_row_spin_whatever_the_worker_does() {
        let row: ReceiverSpec =
            "mine=vxtap --wait adaptive --consumer-wait spin".parse().expect("a row");
        assert!(row.spins);
    }

    #[test]
    fn unknown_and_repeated_rows_are_refused() {
        let error =
            ReceiverSpec::select(&["suricata".into()], &[]).expect_err("not there").to_string();
        assert!(
            error.starts_with(
                "there is no row `suricata`: choose from vxtap-busy, vxtap-spin, vxtap-adaptive,"
            ),
            "{error}"
        );
        let error = ReceiverSpec::select(&["packet".into(), "packet".into()], &[])
            .expect_err("twice")
            .to_string();
        assert_eq!(error, "the row `packet` is given twice: give each a name of its own");
        let error = "vxtap".parse::<ReceiverSpec>().expect_err("no name").to_string();
        assert_eq!(
            error,
            "`vxtap` is no row: write NAME=RECEIVER ARGUMENTS, as `v2=vxtap --wait busy`"
        );
    }

    #[test]
    fn the_rows_of_the_ladder_exist() {
        let names: Vec<String> = LADDER.iter().map(|&name| name.to_owned()).collect();
        assert!(ReceiverSpec::select(&names, &[]).is_ok());
    }
}
