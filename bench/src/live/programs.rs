//! The programs and maps in the kernel.

use std::fmt;

use aya::maps::xdp::DevMap;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use aya::programs::{RawTracePoint, Xdp};
use aya::{Ebpf, EbpfLoader, TestRun, TestRunAttrs, TestRunOptions};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use vxtap_ebpf::generator::{
    self as layout, FLUSHED_WORDS, Flushed, HEAD_WORDS, PROGRESS_WORDS, Progress, SETTINGS_WORDS,
    Settings, Whole,
};

use super::error::os_error;
use super::frame_table::FrameTable;
use super::{LiveError, OBJECT};

/// The loaded programs and filled maps; removed when dropped.
#[derive(Debug)]
pub(super) struct LoadedPrograms {
    /// Holds the programs.
    ebpf: Ebpf,
    maps: ProgramMaps,
}

/// The programs' counters and settings, readable while they run.
pub(super) struct ProgramMaps {
    settings: Array<MapData, [u64; SETTINGS_WORDS]>,
    progress: Array<MapData, [u64; PROGRESS_WORDS]>,
    flushed: PerCpuArray<MapData, [u64; FLUSHED_WORDS]>,
}

impl fmt::Debug for ProgramMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl LoadedPrograms {
    /// Loads the object for an interface of this thread's network namespace and fills its table.
    pub(super) fn load(interface: &str, table: &FrameTable) -> Result<Self, LiveError> {
        let index = if_nametoindex(interface).map_err(|_no_such_device| {
            LiveError::NoInterface { interface: interface.to_owned() }
        })?;
        let entries = table.len().max(1);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(layout::HEADS, entries)
            .map_max_entries(layout::WHOLES, entries)
            .load(OBJECT)
            .map_err(|error| LiveError::of("load the generator's eBPF programs", error))?;
        load_programs(&mut ebpf)
            .map_err(|error| LiveError::of("load the generator's eBPF programs", error))?;
        let fill = |error| LiveError::of("fill the generator's maps", error);
        let mut device = DevMap::try_from(take(&mut ebpf, layout::DEVICE)).map_err(fill)?;
        device
            .set(0, index, None, 0)
            .map_err(|error| LiveError::of("choose the interface", error))?;
        fill_table(&mut ebpf, table).map_err(fill)?;
        let maps = ProgramMaps {
            settings: Array::try_from(take(&mut ebpf, layout::SETTINGS)).map_err(fill)?,
            progress: Array::try_from(take(&mut ebpf, layout::PROGRESS)).map_err(fill)?,
            flushed: PerCpuArray::try_from(take(&mut ebpf, layout::FLUSHED)).map_err(fill)?,
        };
        Ok(Self { ebpf, maps })
    }

    pub(super) const fn maps(&self) -> &ProgramMaps {
        &self.maps
    }

    /// Resets the progress and applies these settings.
    pub(super) fn set(&mut self, settings: &Settings) -> Result<(), LiveError> {
        let fill = |error| LiveError::of("fill the generator's maps", error);
        self.maps.settings.set(0, settings.words(), 0).map_err(fill)?;
        self.maps.progress.set(0, [0; PROGRESS_WORDS], 0).map_err(fill)
    }

    /// Makes frames on this CPU until a signal comes or there were about four billion.
    pub(super) fn make_frames(&self, template: &[u8], batch: u32) -> Result<(), LiveError> {
        let program = self.ebpf.program(layout::PROGRAM).unwrap_or_else(|| absent(layout::PROGRAM));
        let program: &Xdp =
            program.try_into().unwrap_or_else(|_other_type| absent(layout::PROGRAM));
        let run = program.test_run(TestRunOptions {
            data_in: Some(template),
            repeat: u32::MAX,
            attrs: TestRunAttrs::new().xdp_live_frames(batch),
            ..TestRunOptions::new()
        });
        match run {
            Ok(_) => Ok(()),
            Err(error) => match os_error(&error) {
                Some(Errno::EINTR) => Ok(()),
                // Every other reason for EINVAL has been checked before.
                Some(Errno::EINVAL) => Err(LiveError::NoLiveFrames),
                _ => Err(LiveError::of("run the generator", error)),
            },
        }
    }
}

impl ProgramMaps {
    pub(super) fn progress(&self) -> Result<Progress, LiveError> {
        let words =
            self.progress.get(&0, 0).map_err(|error| LiveError::of("read the progress", error))?;
        Ok(Progress::from_words(&words))
    }

    pub(super) fn flushed(&self) -> Result<Flushed, LiveError> {
        let cpus =
            self.flushed.get(&0, 0).map_err(|error| LiveError::of("read the counters", error))?;
        Ok(Flushed::sum(cpus.iter()))
    }
}

fn load_programs(ebpf: &mut Ebpf) -> Result<(), aya::programs::ProgramError> {
    for (name, tracepoint) in [
        (layout::FLUSH_PROGRAM, layout::FLUSH_TRACEPOINT),
        (layout::FAIL_PROGRAM, layout::FAIL_TRACEPOINT),
    ] {
        let listener: &mut RawTracePoint =
            ebpf.program_mut(name).unwrap_or_else(|| absent(name)).try_into()?;
        listener.load()?;
        listener.attach(tracepoint)?;
    }
    let name = layout::PROGRAM;
    let generator: &mut Xdp = ebpf.program_mut(name).unwrap_or_else(|| absent(name)).try_into()?;
    generator.load()
}

fn fill_table(ebpf: &mut Ebpf, table: &FrameTable) -> Result<(), MapError> {
    let mut heads: Array<MapData, [u64; HEAD_WORDS]> = Array::try_from(take(ebpf, layout::HEADS))?;
    for (index, head) in (0..).zip(table.heads()) {
        heads.set(index, head, 0)?;
    }
    let mut wholes: Array<MapData, Whole> = Array::try_from(take(ebpf, layout::WHOLES))?;
    for (index, whole) in (0..).zip(table.wholes()) {
        wholes.set(index, whole, 0)?;
    }
    Ok(())
}

fn take(ebpf: &mut Ebpf, name: &str) -> Map {
    ebpf.take_map(name).unwrap_or_else(|| absent(name))
}

/// The object is embedded in this program, and a test checks that it has every program and map.
fn absent(name: &str) -> ! {
    unreachable!("the embedded object has no {name}: `cargo xtask build-ebpf` makes it")
}
