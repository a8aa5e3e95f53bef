//! The methods of sending, and their options.

use clap::{Args, ValueEnum};
use vxtap_bench::live;

/// A way to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SendMethod {
    /// A packet socket: any interface
    Packet,
    /// Live frames of an XDP program: millions a second; the interface must take redirected frames,
    /// so the other end of a veth pair needs an XDP program or `ethtool -K DEV gro on`
    Live,
    /// An AF_XDP socket; only in a vxgen that was built with the feature af-xdp
    AfXdp,
}

impl SendMethod {
    /// Name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Live => "live",
            Self::AfXdp => "af-xdp",
        }
    }
}

/// Options of live frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Live frames (--via live)")]
pub(crate) struct LiveArguments {
    /// Sends every N-th frame whole, with its payload tag, and only the headers of the others
    /// right; 0: none [default: 1]
    #[arg(long = "proof-every", value_name = "N")]
    tag_every: Option<u64>,
    /// Different frames, which are sent repeatedly [default: the count, if it is 16384 or less;
    /// else 1024]
    #[arg(long, value_name = "N")]
    table: Option<u32>,
    /// Frames that are sent at once, 1 to 256 [default: those of 50 µs, at most 64]
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
}

impl LiveArguments {
    pub(crate) fn options(&self) -> live::LiveOptions {
        let default = live::LiveOptions::default();
        live::LiveOptions {
            tag_every: self.tag_every.unwrap_or(default.tag_every),
            table_len: self.table,
            batch: self.batch,
        }
    }

    /// Returns the first option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let Self { tag_every, table, batch } = self;
        let is_given = [tag_every.is_some(), table.is_some(), batch.is_some()];
        ["--proof-every", "--table", "--batch"]
            .into_iter()
            .zip(is_given)
            .find(|(_, given)| *given)
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    #[test]
    fn what_live_frames_are_told_is_read() {
        let run = |line: &str| match Arguments::try_parse_from(line.split(' '))
            .map(|arguments| arguments.command)
        {
            Ok(Command::Run(run)) => run,
            other => panic!("{other:?}"),
        };
        let plain = run("vxgen run --interface x --count 1");
        assert_eq!((plain.sink.via, plain.live.given()), (SendMethod::Packet, None));
        assert_eq!(plain.live.options(), live::LiveOptions::default());
        let live =
            run("vxgen run --interface x --count 1 --via live --proof-every 0 --table 7 --batch 8");
        assert_eq!((live.sink.via, live.live.given()), (SendMethod::Live, Some("--proof-every")));
        let options = live::LiveOptions { tag_every: 0, table_len: Some(7), batch: Some(8) };
        assert_eq!(live.live.options(), options);
    }
}
