//! Claims about the outputs, shown with real programs on veth pairs in network namespaces.
//!
//! | module | claim |
//! |---|---|
//! | `files` | files are rotated, compressed and synced; they survive a full disk and a killed process |
//! | `interface` | sniffers find every frame at a network interface of the output, on which the host is silent |
//! | `readers` | tshark and tcpdump read what vxtap writes, and damaged files as vxtap reads them |
//! | `slow` | an output that stands still loses only its own frames, and each of them is counted |
//! | `stream` | programs read the frames as a stream, each at its own pace |
//! | `tail` | `vxtap tail` shows the frames of a running engine |
//! | `outer` | `vxtap tail --outer` shows what arrived, with the reason of each drop, and `explain --live` agrees |
//! | `suricata` | Suricata takes every frame, from an interface and from a stream |
//! | `shared` | other processes read frames in the engine's memory; whatever they do, no other output loses a frame |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod captures;
mod files;
mod frames;
mod interface;
mod outer;
mod readers;
mod shared;
mod slow;
mod stream;
#[path = "../engine/support.rs"]
#[expect(dead_code, reason = "the tests of the engine use all of it")]
mod support;
mod suricata;
mod tail;
