//! Descriptions of outputs, for people who check a configuration.

use std::path::Path;

use super::output::OutputKind;
use super::pcapng::{Compression, Fsync, PcapngFiles};
use super::stream::{AllowedUsers, Stream, StreamFormat, StreamTarget};
use crate::plural::counted;

impl OutputKind {
    /// Returns what the output does with the frames, in words: `shared memory at "/run/x.sock", at
    /// most 1 consumer at a time`.
    pub fn description(&self) -> String {
        match self {
            Self::Pcapng { path, files } => describe_files(path, self.only_file().is_some(), files),
            Self::Interface { interface, vlan_tags } => {
                let tags = if *vlan_tags { ", with the VLAN of each session" } else { "" };
                format!("interface {interface}{tags}")
            }
            Self::Shared { path, max_consumers } => {
                let path = path.to_string_lossy();
                let consumers = counted(*max_consumers, "consumer");
                format!("shared memory at {path:?}, at most {consumers} at a time")
            }
            Self::Stream(stream) => describe_stream(stream),
            Self::Consumer => "the embedding program".to_owned(),
        }
    }
}

fn describe_stream(stream: &Stream) -> String {
    let format = match stream.format {
        StreamFormat::Pcapng => "pcapng",
        StreamFormat::Pcap => "pcap",
    };
    let readers = counted(stream.reader_limit(), "reader");
    let (target, mib) = (&stream.target, stream.buffer_mib);
    let users = match (target, &stream.allowed_users) {
        (StreamTarget::Tcp(address), _) if !address.ip().to_canonical().is_loopback() => {
            ", for every host that reaches it".to_owned()
        }
        (StreamTarget::Tcp(_), AllowedUsers::All) => ", for every user of this host".to_owned(),
        (StreamTarget::Tcp(_), AllowedUsers::Listed(names)) => {
            let users: Vec<_> = ["root", "the user of the engine"]
                .into_iter()
                .chain(names.iter().map(String::as_str))
                .collect();
            format!(", for {}", users.join(", "))
        }
        _ => String::new(),
    };
    format!("{format} on {target}, at most {readers} at a time, {mib} MiB for each{users}")
}

/// Describes files:
/// `pcapng files "web-%Y.pcapng", a new one every 3600 s, compressed when complete`.
fn describe_files(path: &Path, only: bool, files: &PcapngFiles) -> String {
    let PcapngFiles {
        rotate_mib,
        rotate_s,
        keep_files,
        keep_mib,
        keep_s,
        undeclared_files_per_hour,
        undeclared_min_free_percent,
        compression,
        fsync,
        owner,
    } = files;
    let mut parts = vec![format!(
        "pcapng {} {:?}",
        if only { "file" } else { "files" },
        path.to_string_lossy()
    )];
    let rotations = [
        rotate_s.map(|seconds| format!("every {seconds} s")),
        rotate_mib.map(|mib| format!("after {mib} MiB")),
    ];
    let rotations: Vec<_> = rotations.into_iter().flatten().collect();
    if !rotations.is_empty() {
        parts.push(format!("a new one {}", rotations.join(" or ")));
    }
    let kept = [
        keep_files.map(|files| counted(files, "file")),
        keep_mib.map(|mib| format!("{mib} MiB")),
        keep_s.map(|seconds| format!("{seconds} s")),
    ];
    let kept: Vec<_> = kept.into_iter().flatten().collect();
    if !kept.is_empty() {
        parts.push(format!("keeps the last {}", kept.join(" and ")));
    }
    let default = PcapngFiles::default();
    if *undeclared_files_per_hour != default.undeclared_files_per_hour {
        let files = counted(*undeclared_files_per_hour, "file");
        parts.push(format!("{files} per hour for undeclared senders"));
    }
    if *undeclared_min_free_percent != default.undeclared_min_free_percent {
        let percent = undeclared_min_free_percent;
        parts.push(format!("undeclared frames down to {percent} % of free space"));
    }
    if *compression == Compression::Zstd {
        parts.push("compressed when complete".to_owned());
    }
    match fsync {
        Fsync::Never => {}
        Fsync::File => parts.push("synced to disk when complete".to_owned()),
        Fsync::Second => parts.push("synced to disk every second".to_owned()),
    }
    parts.extend(owner.as_ref().map(|owner| format!("for {owner}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_said_and_nothing_else() {
        let described = |only, files: &PcapngFiles| describe_files(Path::new("a"), only, files);
        assert_eq!(described(true, &PcapngFiles::default()), "pcapng file \"a\"");
        let files = PcapngFiles {
            rotate_mib: Some(100),
            rotate_s: Some(60),
            keep_files: Some(1),
            keep_mib: Some(7),
            undeclared_min_free_percent: 10,
            undeclared_files_per_hour: 8,
            compression: Compression::Zstd,
            ..PcapngFiles::default()
        };
        let said = "pcapng files \"a\", a new one every 60 s or after 100 MiB, keeps the last 1 file and 7 MiB, 8 files per hour for undeclared senders, undeclared frames down to 10 % of free space, compressed when complete";
        assert_eq!(described(false, &files), said);
        let one = PcapngFiles { undeclared_files_per_hour: 1, ..PcapngFiles::default() };
        let said = "pcapng files \"a\", 1 file per hour for undeclared senders";
        assert_eq!(described(false, &one), said);
    }
}
