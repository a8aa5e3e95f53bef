//! Reads `[[output]]`. The keys that it may have depend on its type.

use std::path::PathBuf;

use toml::de::DeValue;

use super::LocatedProblem;
use super::reader::{Node, Section};
use crate::config::keyword::Keyword;
use crate::config::output::{MAX_CONSUMERS, MEMBERS, ORDER_WINDOW_US};
use crate::config::pcapng::{
    KEEP_FILES, KEEP_MIB, KEEP_S, ROTATE_MIB, ROTATE_S, UNDECLARED_FILES_PER_HOUR,
    UNDECLARED_MIN_FREE_PERCENT,
};
use crate::config::stream::{BUFFER_MIB, MAX_READERS, SEND_TIMEOUT_S, check_users_at};
use crate::config::{
    AllowedUsers, Compression, Fsync, Output, OutputKind, PcapngFiles, Stream, StreamFormat,
    StreamTarget,
};

/// Every key of any type.
pub(super) const ALL: &[&str] = &[
    "name",
    "type",
    "filter",
    "order_window_us",
    "path",
    "members",
    "rotate_mib",
    "rotate_s",
    "keep_files",
    "keep_mib",
    "keep_s",
    "undeclared_files_per_hour",
    "undeclared_min_free_percent",
    "compression",
    "fsync",
    "owner",
    "max_consumers",
    "interface",
    "vlan_tags",
    "to",
    "address",
    "format",
    "max_readers",
    "send_timeout_s",
    "allowed_users",
    "buffer_mib",
];

const PCAPNG: &[&str] = &[
    "name",
    "type",
    "filter",
    "order_window_us",
    "path",
    "members",
    "rotate_mib",
    "rotate_s",
    "keep_files",
    "keep_mib",
    "keep_s",
    "undeclared_files_per_hour",
    "undeclared_min_free_percent",
    "compression",
    "fsync",
    "owner",
];
const SHARED: &[&str] = &["name", "type", "filter", "path", "members", "max_consumers"];

const INTERFACE: &[&str] =
    &["name", "type", "filter", "order_window_us", "members", "interface", "vlan_tags"];

/// Keys of a stream, by its target.
const STDOUT: &[&str] =
    &["name", "type", "filter", "order_window_us", "to", "format", "buffer_mib"];
const FIFO: &[&str] =
    &["name", "type", "filter", "order_window_us", "to", "path", "format", "buffer_mib"];
const UNIX: &[&str] = &[
    "name",
    "type",
    "filter",
    "order_window_us",
    "to",
    "path",
    "format",
    "max_readers",
    "send_timeout_s",
    "buffer_mib",
];
const TCP: &[&str] = &[
    "name",
    "type",
    "filter",
    "order_window_us",
    "to",
    "address",
    "format",
    "max_readers",
    "send_timeout_s",
    "allowed_users",
    "buffer_mib",
];

const AN_ADDRESS: &str = "an address with its port in quotes, such as \"127.0.0.1:57012\"";
const USERS: &str = "\"all\" or a list of users";
const AN_INTERFACE: &str = "the name of an interface in quotes";
const A_FILE: &str = "the path of a file in quotes";
const A_FIFO: &str = "the path of a named pipe in quotes";
const A_SOCKET: &str = "the path of a Unix socket in quotes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputType {
    Pcapng,
    Interface,
    Shared,
    Stream,
}

/// Target of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetType {
    Stdout,
    Fifo,
    Unix,
    Tcp,
}

impl Keyword for Compression {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("zstd", Self::Zstd)];
}

impl Keyword for Fsync {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("file", Self::File), ("second", Self::Second)];
}

impl Keyword for OutputType {
    const KEYWORDS: &'static [(&'static str, Self)] = &[
        ("pcapng", Self::Pcapng),
        ("interface", Self::Interface),
        ("stream", Self::Stream),
        ("shared", Self::Shared),
    ];
}

impl Keyword for TargetType {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("stdout", Self::Stdout), ("fifo", Self::Fifo), ("unix", Self::Unix), ("tcp", Self::Tcp)];
}

impl Keyword for StreamFormat {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("pcapng", Self::Pcapng), ("pcap", Self::Pcap)];
}

pub(super) fn output(section: &Section<'_>) -> Result<Output, LocatedProblem> {
    let name = section.name("name")?;
    let kind = match section.required_keyword("type")? {
        OutputType::Pcapng => {
            section.check_keys(PCAPNG)?;
            OutputKind::Pcapng { path: path(section, A_FILE)?, files: files(section)? }
        }
        OutputType::Interface => {
            section.check_keys(INTERFACE)?;
            let interface =
                section.required("interface", AN_INTERFACE)?.string(AN_INTERFACE)?.to_owned();
            let vlan_tags = section.boolean("vlan_tags")?.unwrap_or(false);
            OutputKind::Interface { interface, vlan_tags }
        }
        OutputType::Shared => {
            section.check_keys(SHARED)?;
            let max_consumers = section.number("max_consumers", MAX_CONSUMERS)?.unwrap_or(1);
            OutputKind::Shared { path: path(section, A_SOCKET)?, max_consumers }
        }
        OutputType::Stream => OutputKind::Stream(stream(section)?),
    };
    let default = Output::new(name, kind);
    let order_window_us = section.number("order_window_us", ORDER_WINDOW_US)?;
    Ok(Output {
        members: section.number("members", MEMBERS)?.unwrap_or(default.members),
        filter: section.reference("filter")?,
        order_window_us: order_window_us.unwrap_or(default.order_window_us),
        ..default
    })
}

fn files(section: &Section<'_>) -> Result<PcapngFiles, LocatedProblem> {
    let default = PcapngFiles::default();
    let undeclared_files_per_hour =
        section.number("undeclared_files_per_hour", UNDECLARED_FILES_PER_HOUR)?;
    let undeclared_min_free_percent =
        section.number("undeclared_min_free_percent", UNDECLARED_MIN_FREE_PERCENT)?;
    Ok(PcapngFiles {
        rotate_mib: section.number("rotate_mib", ROTATE_MIB)?,
        rotate_s: section.number("rotate_s", ROTATE_S)?,
        keep_files: section.number("keep_files", KEEP_FILES)?,
        keep_mib: section.number("keep_mib", KEEP_MIB)?,
        keep_s: section.number("keep_s", KEEP_S)?,
        undeclared_files_per_hour: undeclared_files_per_hour
            .unwrap_or(default.undeclared_files_per_hour),
        undeclared_min_free_percent: undeclared_min_free_percent
            .unwrap_or(default.undeclared_min_free_percent),
        compression: section.keyword("compression")?.unwrap_or_default(),
        fsync: section.keyword("fsync")?.unwrap_or_default(),
        owner: section.reference("owner")?,
    })
}

fn stream(section: &Section<'_>) -> Result<Stream, LocatedProblem> {
    let to = section.required_keyword("to")?;
    section.check_keys(match to {
        TargetType::Stdout => STDOUT,
        TargetType::Fifo => FIFO,
        TargetType::Unix => UNIX,
        TargetType::Tcp => TCP,
    })?;
    let default = Stream::new(match to {
        TargetType::Stdout => StreamTarget::Stdout,
        TargetType::Fifo => StreamTarget::Fifo(path(section, A_FIFO)?),
        TargetType::Unix => StreamTarget::Unix(path(section, A_SOCKET)?),
        TargetType::Tcp => {
            let address = section.get("address").map(|node| node.parsed(AN_ADDRESS)).transpose()?;
            StreamTarget::Tcp(address.unwrap_or(StreamTarget::PCAP_OVER_IP))
        }
    });
    Ok(Stream {
        format: section.keyword("format")?.unwrap_or(default.format),
        max_readers: section.number("max_readers", MAX_READERS)?.unwrap_or(default.max_readers),
        send_timeout_s: section
            .number("send_timeout_s", SEND_TIMEOUT_S)?
            .unwrap_or(default.send_timeout_s),
        allowed_users: section
            .get("allowed_users")
            .map_or_else(|| Ok(AllowedUsers::default()), |node| users(&node, &default.target))?,
        buffer_mib: section.number("buffer_mib", BUFFER_MIB)?.unwrap_or(default.buffer_mib),
        ..default
    })
}

fn users(node: &Node<'_>, target: &StreamTarget) -> Result<AllowedUsers, LocatedProblem> {
    if matches!(node.value(), DeValue::String(word) if word == "all") {
        return Ok(AllowedUsers::All);
    }
    let name = |node: &Node<'_>| node.string("a user in quotes").map(str::to_owned);
    let names = node.list(USERS)?.iter().map(name).collect::<Result<_, _>>()?;
    // An empty list too: in a file it says that nobody else may read.
    if let StreamTarget::Tcp(address) = target {
        check_users_at(*address).map_err(|problem| node.fault(problem))?;
    }
    Ok(AllowedUsers::Listed(names))
}

fn path(section: &Section<'_>, allowed: &str) -> Result<PathBuf, LocatedProblem> {
    Ok(PathBuf::from(section.required("path", allowed)?.string(allowed)?))
}
