//! Claims about the outputs, shown with real programs on veth pairs in network namespaces.
//!
//! | module | claim |
//! |---|---|
//! | `files` | files end, are kept and survive what happens to disks and processes |
//! | `interface` | sniffers find every frame at an interface of their own, on which the host is silent |
//! | `slow` | an output that stands still loses its own frames, each of them counted, and nobody else's |
//! | `stream` | programs read the frames as a stream, each at its own pace |
//! | `tail` | `vxtap tail` looks into a running engine |
//! | `suricata` | Suricata takes every frame, from an interface and from a stream |
//! | `shared` | other processes read frames where they lie, and whatever they do costs nobody else one |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod files;
mod frames;
mod interface;
mod shared;
mod slow;
mod stream;
#[path = "../engine/support.rs"]
#[expect(dead_code, reason = "the tests of the engine use all of it")]
mod support;
mod suricata;
mod tail;
