//! Prints the totals.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use vxtap_bench::Totals;
use vxtap_bench::plural::counted;
use vxtap_bench::totals::SessionTotals;

/// Format of the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For people.
    Text,
    /// As one JSON object.
    Json {
        /// Send method.
        via: &'static str,
    },
}

impl Style {
    pub(crate) const fn of(is_json: bool, via: &'static str) -> Self {
        if is_json { Self::Json { via } } else { Self::Text }
    }

    /// Prints the totals to standard output.
    pub(crate) fn print(self, totals: &Totals) -> io::Result<()> {
        let text = match self {
            Self::Text => text(totals),
            Self::Json { via } => json(totals, via),
        };
        io::stdout().write_all(text.as_bytes())
    }
}

fn text(totals: &Totals) -> String {
    let mut text = format!("{totals}\n");
    for (index, SessionTotals { frames, inner_bytes }) in totals.sessions.iter().enumerate() {
        let frames = counted(*frames, "frame");
        let _ = writeln!(text, "session {index}: {frames}, {inner_bytes} bytes inner");
    }
    text
}

/// Numbers and one word that needs no escaping.
fn json(totals: &Totals, via: &str) -> String {
    let Totals { frames, outer_bytes, inner_bytes, refused, elapsed, retries: _, sessions: _ } =
        totals;
    let elapsed_ns = elapsed.as_nanos();
    format!(
        "{{\"frames\":{frames},\"bytes\":{outer_bytes},\"inner_bytes\":{inner_bytes},\"refused\":{refused},\
         \"elapsed_ns\":{elapsed_ns},\"via\":\"{via}\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn totals_are_one_json_object() {
        let totals = Totals {
            frames: 5,
            outer_bytes: 620,
            inner_bytes: 370,
            refused: 1,
            elapsed: Duration::from_micros(7),
            ..Totals::default()
        };
        assert_eq!(
            json(&totals, "live"),
            "{\"frames\":5,\"bytes\":620,\"inner_bytes\":370,\"refused\":1,\"elapsed_ns\":7000,\"via\":\"live\"}\n"
        );
    }
}
