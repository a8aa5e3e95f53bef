//! Reads `[[output]]`. Which keys stand in it depends on its type.

use std::path::PathBuf;

use super::Fault;
use super::reader::Section;
use crate::config::output::{CONSUMERS, MEMBERS, ORDER_WINDOW_US};
use crate::config::pcapng::{KEEP_FILES, KEEP_MIB, KEEP_S, ROTATE_MIB, ROTATE_S};
use crate::config::stream::{BUFFER_MIB, READERS};
use crate::config::words::Word;
use crate::config::{
    Compression, Fsync, Output, OutputKind, PcapngFiles, Stream, StreamFormat, StreamTarget,
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
    "compression",
    "fsync",
    "owner",
    "consumers",
    "interface",
    "vlan_tags",
    "to",
    "address",
    "format",
    "readers",
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
    "compression",
    "fsync",
    "owner",
];
const SHARED: &[&str] = &["name", "type", "filter", "path", "members", "consumers"];

const INTERFACE: &[&str] =
    &["name", "type", "filter", "order_window_us", "members", "interface", "vlan_tags"];

/// By where it goes to.
const STDOUT: &[&str] =
    &["name", "type", "filter", "order_window_us", "to", "format", "buffer_mib"];
const FIFO: &[&str] =
    &["name", "type", "filter", "order_window_us", "to", "path", "format", "buffer_mib"];
const UNIX: &[&str] =
    &["name", "type", "filter", "order_window_us", "to", "path", "format", "readers", "buffer_mib"];
const TCP: &[&str] = &[
    "name",
    "type",
    "filter",
    "order_window_us",
    "to",
    "address",
    "format",
    "readers",
    "buffer_mib",
];

const AN_ADDRESS: &str = "an address with its port in quotes, such as \"127.0.0.1:57012\"";
const AN_INTERFACE: &str = "the name of an interface in quotes";
const A_FILE: &str = "the path of a file in quotes";
const A_FIFO: &str = "the path of a named pipe in quotes";
const A_SOCKET: &str = "the path of a Unix socket in quotes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Pcapng,
    Interface,
    Shared,
    Stream,
}

/// Where a stream goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Stdout,
    Fifo,
    Unix,
    Tcp,
}

impl Word for Compression {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("zstd", Self::Zstd)];
}

impl Word for Fsync {
    const WORDS: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("file", Self::File), ("second", Self::Second)];
}

impl Word for Type {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("pcapng", Self::Pcapng),
        ("interface", Self::Interface),
        ("stream", Self::Stream),
        ("shared", Self::Shared),
    ];
}

impl Word for To {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stdout", Self::Stdout), ("fifo", Self::Fifo), ("unix", Self::Unix), ("tcp", Self::Tcp)];
}

impl Word for StreamFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pcapng", Self::Pcapng), ("pcap", Self::Pcap)];
}

pub(super) fn output(section: &Section<'_>) -> Result<Output, Fault> {
    let name = section.name("name")?;
    let kind = match section.required_word("type")? {
        Type::Pcapng => {
            section.check_keys(PCAPNG)?;
            OutputKind::Pcapng { path: path(section, A_FILE)?, files: files(section)? }
        }
        Type::Interface => {
            section.check_keys(INTERFACE)?;
            let interface =
                section.required("interface", AN_INTERFACE)?.string(AN_INTERFACE)?.to_owned();
            let vlan_tags = section.boolean("vlan_tags")?.unwrap_or(false);
            OutputKind::Interface { interface, vlan_tags }
        }
        Type::Shared => {
            section.check_keys(SHARED)?;
            let consumers = section.number("consumers", CONSUMERS)?.unwrap_or(1);
            OutputKind::Shared { path: path(section, A_SOCKET)?, consumers }
        }
        Type::Stream => OutputKind::Stream(stream(section)?),
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

fn files(section: &Section<'_>) -> Result<PcapngFiles, Fault> {
    Ok(PcapngFiles {
        rotate_mib: section.number("rotate_mib", ROTATE_MIB)?,
        rotate_s: section.number("rotate_s", ROTATE_S)?,
        keep_files: section.number("keep_files", KEEP_FILES)?,
        keep_mib: section.number("keep_mib", KEEP_MIB)?,
        keep_s: section.number("keep_s", KEEP_S)?,
        compression: section.word("compression")?.unwrap_or_default(),
        fsync: section.word("fsync")?.unwrap_or_default(),
        owner: section.reference("owner")?,
    })
}

fn stream(section: &Section<'_>) -> Result<Stream, Fault> {
    let to = section.required_word("to")?;
    section.check_keys(match to {
        To::Stdout => STDOUT,
        To::Fifo => FIFO,
        To::Unix => UNIX,
        To::Tcp => TCP,
    })?;
    let default = Stream::new(match to {
        To::Stdout => StreamTarget::Stdout,
        To::Fifo => StreamTarget::Fifo(path(section, A_FIFO)?),
        To::Unix => StreamTarget::Unix(path(section, A_SOCKET)?),
        To::Tcp => {
            let address = section.get("address").map(|node| node.parsed(AN_ADDRESS)).transpose()?;
            StreamTarget::Tcp(address.unwrap_or(StreamTarget::PCAP_OVER_IP))
        }
    });
    Ok(Stream {
        format: section.word("format")?.unwrap_or(default.format),
        readers: section.number("readers", READERS)?.unwrap_or(default.readers),
        buffer_mib: section.number("buffer_mib", BUFFER_MIB)?.unwrap_or(default.buffer_mib),
        ..default
    })
}

fn path(section: &Section<'_>, allowed: &str) -> Result<PathBuf, Fault> {
    Ok(PathBuf::from(section.required("path", allowed)?.string(allowed)?))
}
