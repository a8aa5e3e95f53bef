//! Receiver `xdp-drop`: an XDP program that counts and drops. No receiver can be faster.

use anyhow::{Context, Result};
use aya::maps::{MapData, PerCpuArray};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use clap::Args;
use vxtap_bench::live::OBJECT;
use vxtap_ebpf::generator::{DROP_PROGRAM, DROPPED, DROPPED_WORDS, Dropped};

use crate::mark_protocol::Mark;

/// An XDP program that counts and drops: no receiver is faster
#[derive(Debug, Clone, Args)]
pub struct DropOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
}

/// The attached program; detached when dropped.
pub(super) struct DropProgram {
    dropped: PerCpuArray<MapData, [u64; DROPPED_WORDS]>,
    /// Keeps the link.
    _ebpf: Ebpf,
}

impl DropProgram {
    /// Attaches the program in native mode; also returns a description of the set-up.
    pub(super) fn attach(options: &DropOptions) -> Result<(Self, String)> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("cannot load the eBPF object")?;
        let program: &mut Xdp = ebpf
            .program_mut(DROP_PROGRAM)
            .context("the eBPF object lacks the program")?
            .try_into()?;
        program.load().context("the kernel refuses the XDP program")?;
        program.attach(&options.interface, XdpMode::Driver).with_context(|| {
            format!("cannot attach the XDP program to {} natively", options.interface)
        })?;
        let map = ebpf.take_map(DROPPED).context("the eBPF object lacks the counters")?;
        let about = "XDP program, native, that counts and drops; no frame gets to an application"
            .to_owned();
        Ok((Self { dropped: map.try_into()?, _ebpf: ebpf }, about))
    }

    /// Returns the program's counts.
    pub(super) fn mark(&self) -> Result<Mark> {
        let per_cpu = self.dropped.get(&0, 0).context("cannot read the counters")?;
        let Dropped { frames, inner_bytes, foreign } = Dropped::sum(per_cpu.iter());
        Ok(Mark { frames, bytes: inner_bytes, foreign, ..Mark::default() })
    }
}
