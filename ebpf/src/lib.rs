//! The parts that the XDP program and the engine share: names, limits and layouts of the maps, the
//! arrival time in front of a frame, the readers of link and IP headers, and the parser that
//! decides which datagrams are ours.
//!
//! Everything here is `no_std` and free of dependencies, so that the same code runs in the kernel
//! and on the host.
#![no_std]

pub mod arrival;
pub mod fragment;
pub mod generator;
pub mod maps;
pub mod parse;
pub mod wire;
