//! Files that undeclared senders share with declared sessions.

use std::path::Path;

use vxtap::config::{Config, Output, OutputKind, PcapngFiles, UnknownSessions};

/// Fields of a file name that keep senders apart.
const SENDER_FIELDS: [&str; 3] = ["{session}", "{vni}", "{source}"];

/// Names the outputs in which anybody can make files of declared sessions go.
pub(super) fn shared_retention(config: &Config) -> String {
    let is_closed = config.sessions.is_empty()
        || config.unknown == UnknownSessions::Drop
        || !config.capture.allowed_sources.is_empty();
    if is_closed {
        return String::new();
    }
    let is_shared = |output: &&Output| match &output.kind {
        OutputKind::Pcapng { path, files } => deletes_for_others(path, files),
        _ => false,
    };
    let sentence = |output: &Output| {
        format!(
            "In {} undeclared senders share the files of the sessions, so that their frames make those of the sessions go: {{session}} in the name keeps them apart.\n",
            output.name
        )
    };
    config.outputs.iter().filter(is_shared).map(sentence).collect()
}

/// Returns whether files are deleted to make room, and have the frames of all senders.
fn deletes_for_others(path: &Path, files: &PcapngFiles) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_limited = files.keep_files.is_some() || files.keep_mib.is_some();
    is_limited && !SENDER_FIELDS.iter().any(|field| name.contains(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_go_because_of_anybody_are_pointed_out() {
        let text = |sessions: &str, path: &str, keep: &str| {
            let text = format!(
                "{sessions}\n[[session]]\nname = \"web\"\nvni = 1\n[[output]]\nname = \"disk\"\n\
                 type = \"pcapng\"\npath = \"{path}\"\nrotate_mib = 1\n{keep}"
            );
            shared_retention(&Config::from_toml(Path::new("c"), &text).unwrap())
        };
        let note = "In disk undeclared senders share the files of the sessions, so that their frames make those of the sessions go: {session} in the name keeps them apart.\n";
        assert_eq!(text("", "{number}.pcapng", "keep_files = 9"), note);
        for (sessions, path, keep) in [
            ("", "{number}.pcapng", "keep_s = 60"),
            ("", "{number}-{session}.pcapng", "keep_files = 9"),
            ("[sessions]\nunknown = \"drop\"", "{number}.pcapng", "keep_files = 9"),
            ("[capture]\nallowed_sources = [\"10.0.0.1\"]", "{number}.pcapng", "keep_files = 9"),
        ] {
            assert_eq!(text(sessions, path, keep), "", "{sessions} {path} {keep}");
        }
    }
}
