//! Loads the committed object into the kernel by one of two loaders that share no code: aya and
//! libbpf.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, XskMap, lpm_trie};
use aya::programs::Xdp;
use aya::{Ebpf, TestRun, TestRunOptions};
use libbpf_rs::{MapCore, MapFlags, ObjectBuilder, PrintLevel, ProgramInput, set_print};
use rustix::net::{AddressFamily, SocketType, socket, sockopt};
use vxtap_ebpf::maps::{self, OUTCOMES, Settings};

/// Counters by outcome, each the sum over all CPUs.
pub(crate) type Counters = [u64; OUTCOMES as usize];

/// Result of a run of the program on a frame.
pub(crate) struct Ran {
    pub(crate) action: u32,
    /// Metadata and frame.
    pub(crate) data: Vec<u8>,
}

/// An allowed source: length of the prefix in bits, address of 4 or 16 bytes.
pub(crate) type Prefix<'a> = (u32, &'a [u8]);

/// The program in the kernel.
pub(crate) trait Loaded {
    fn name(&self) -> &'static str;
    fn allow_port(&mut self, port: u16) -> Result<()>;
    fn allow_source(&mut self, prefix: Prefix<'_>) -> Result<()>;
    fn set(&mut self, settings: Settings) -> Result<()>;
    fn set_flags(&mut self, flags: u32) -> Result<()> {
        self.set(Settings { flags, ..Settings::default() })
    }
    fn add_destination(&mut self, key: [u8; 16]) -> Result<()>;
    fn other_destination(&self) -> Result<[u8; 16]>;
    fn set_socket(&mut self, queue: u32, socket: &OwnedFd) -> Result<()>;
    fn counters(&self) -> Result<Counters>;
    /// Runs the program on a frame, with a context (`struct xdp_md`) or the kernel's default one:
    /// queue 0, no metadata.
    fn run(&mut self, frame: &[u8], context: Option<&[u8]>) -> Result<Ran>;
}

/// Returns the path of the committed object. The tests load the file, not the copy inside the
/// engine.
pub(crate) fn object_path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxtap.bpf.o"))
}

/// Loads the object by each of the loaders.
pub(crate) fn loaders() -> Result<[Box<dyn Loaded>; 2]> {
    Ok([Box::new(ByAya::load()?), Box::new(ByLibbpf::load()?)])
}

/// Opens an AF_XDP socket with an RX ring, as the kernel requires of a socket in the map; it is not
/// bound.
pub(crate) fn xdp_socket() -> Result<OwnedFd> {
    let socket = socket(AddressFamily::XDP, SocketType::RAW, None).context("socket(AF_XDP)")?;
    sockopt::set_xdp_rx_ring_size(&socket, 64)?;
    Ok(socket)
}

/// Length of the output buffer: the largest frame, and metadata in front of it.
const OUT_LEN: usize = 64 * 1024;

struct ByAya {
    ebpf: Ebpf,
    out: Vec<u8>,
}

impl ByAya {
    fn load() -> Result<Self> {
        let mut ebpf = Ebpf::load_file(object_path())?;
        let program: &mut Xdp = ebpf.program_mut(maps::PROGRAM).context("program")?.try_into()?;
        program.load()?;
        Ok(Self { ebpf, out: vec![0; OUT_LEN] })
    }

    fn map<'a, M>(&'a mut self, name: &str) -> Result<M>
    where
        M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
    {
        Ok(M::try_from(self.ebpf.map_mut(name).context("map")?)?)
    }
}

impl Loaded for ByAya {
    fn name(&self) -> &'static str {
        "aya"
    }

    fn allow_port(&mut self, port: u16) -> Result<()> {
        let (word, bit) = maps::port_bit(port);
        let mut ports: Array<&mut MapData, u64> = self.map(maps::PORTS)?;
        Ok(ports.set(word, bit, 0)?)
    }

    fn allow_source(&mut self, (len, address): Prefix<'_>) -> Result<()> {
        if let Ok(address) = <[u8; 4]>::try_from(address) {
            let mut sources: LpmTrie<&mut MapData, [u8; 4], u8> = self.map(maps::ALLOWED_V4)?;
            return Ok(sources.insert(&lpm_trie::Key::new(len, address), 1, 0)?);
        }
        let mut sources: LpmTrie<&mut MapData, [u8; 16], u8> = self.map(maps::ALLOWED_V6)?;
        Ok(sources.insert(&lpm_trie::Key::new(len, address.try_into()?), 1, 0)?)
    }

    fn set(&mut self, settings: Settings) -> Result<()> {
        let Settings { flags, own_v4, sockets_id } = settings;
        let mut settings: Array<&mut MapData, [u32; 3]> = self.map(maps::SETTINGS)?;
        Ok(settings.set(0, [flags, own_v4, sockets_id], 0)?)
    }

    fn add_destination(&mut self, key: [u8; 16]) -> Result<()> {
        let mut destinations: HashMap<&mut MapData, [u8; 16], u8> = self.map(maps::DESTINATIONS)?;
        Ok(destinations.insert(key, 1, 0)?)
    }

    fn other_destination(&self) -> Result<[u8; 16]> {
        let map = self.ebpf.map(maps::OTHER_DESTINATION).context("map")?;
        let last: Array<&MapData, [u8; 16]> = map.try_into()?;
        Ok(last.get(&0, 0)?)
    }

    fn set_socket(&mut self, queue: u32, socket: &OwnedFd) -> Result<()> {
        let mut sockets: XskMap<&mut MapData> = self.map(maps::SOCKETS)?;
        Ok(sockets.set(queue, socket.as_raw_fd(), 0)?)
    }

    fn counters(&self) -> Result<Counters> {
        let map = self.ebpf.map(maps::COUNTERS).context("map")?;
        let counters: PerCpuArray<&MapData, u64> = map.try_into()?;
        let mut sums = Counters::default();
        for (outcome, sum) in (0..).zip(&mut sums) {
            *sum = counters.get(&outcome, 0)?.iter().sum();
        }
        Ok(sums)
    }

    fn run(&mut self, frame: &[u8], context: Option<&[u8]>) -> Result<Ran> {
        let program: &mut Xdp =
            self.ebpf.program_mut(maps::PROGRAM).context("program")?.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut self.out);
        options.ctx_in = context;
        let result = program.test_run(options)?;
        let data = self.out[..usize::try_from(result.data_size_out)?].to_vec();
        Ok(Ran { action: result.return_value, data })
    }
}

struct ByLibbpf {
    object: libbpf_rs::Object,
    out: Vec<u8>,
}

impl ByLibbpf {
    fn load() -> Result<Self> {
        // Without its messages about sections that it ignores.
        set_print(Some((PrintLevel::Warn, |_, text| eprint!("{text}"))));
        let object = ObjectBuilder::default().open_file(object_path())?.load()?;
        Ok(Self { object, out: vec![0; OUT_LEN] })
    }

    fn update(&mut self, map: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let map = self.object.maps_mut().find(|each| each.name() == map).context("map")?;
        Ok(map.update(key, value, MapFlags::ANY)?)
    }
}

impl Loaded for ByLibbpf {
    fn name(&self) -> &'static str {
        "libbpf"
    }

    fn allow_port(&mut self, port: u16) -> Result<()> {
        let (word, bit) = maps::port_bit(port);
        self.update(maps::PORTS, &word.to_ne_bytes(), &bit.to_ne_bytes())
    }

    fn allow_source(&mut self, (len, address): Prefix<'_>) -> Result<()> {
        let map = if address.len() == 4 { maps::ALLOWED_V4 } else { maps::ALLOWED_V6 };
        self.update(map, &[&len.to_ne_bytes(), address].concat(), &[1])
    }

    fn set(&mut self, settings: Settings) -> Result<()> {
        let Settings { flags, own_v4, sockets_id } = settings;
        let words = [flags, own_v4, sockets_id].map(u32::to_ne_bytes);
        self.update(maps::SETTINGS, &0_u32.to_ne_bytes(), words.as_flattened())
    }

    fn add_destination(&mut self, key: [u8; 16]) -> Result<()> {
        self.update(maps::DESTINATIONS, &key, &[1])
    }

    fn other_destination(&self) -> Result<[u8; 16]> {
        let mut each = self.object.maps();
        let map = each.find(|map| map.name() == maps::OTHER_DESTINATION).context("map")?;
        let value = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?.context("element")?;
        value.try_into().map_err(|value: Vec<u8>| anyhow!("{} bytes", value.len()))
    }

    fn set_socket(&mut self, queue: u32, socket: &OwnedFd) -> Result<()> {
        self.update(maps::SOCKETS, &queue.to_ne_bytes(), &socket.as_fd().as_raw_fd().to_ne_bytes())
    }

    fn counters(&self) -> Result<Counters> {
        let map = self.object.maps().find(|map| map.name() == maps::COUNTERS).context("map")?;
        let mut sums = Counters::default();
        for (outcome, sum) in (0_u32..).zip(&mut sums) {
            let per_cpu =
                map.lookup_percpu(&outcome.to_ne_bytes(), MapFlags::ANY)?.context("counter")?;
            for value in per_cpu {
                *sum += u64::from_ne_bytes(value.as_slice().try_into()?);
            }
        }
        Ok(sums)
    }

    fn run(&mut self, frame: &[u8], context: Option<&[u8]>) -> Result<Ran> {
        let program =
            self.object.progs_mut().find(|each| each.name() == maps::PROGRAM).context("program")?;
        let mut context = context.map(<[u8]>::to_vec);
        let output = program.test_run(ProgramInput {
            context_in: context.as_deref_mut(),
            data_in: Some(frame),
            data_out: Some(&mut self.out),
            ..ProgramInput::default()
        })?;
        Ok(Ran { action: output.return_value, data: output.data.context("data")?.to_vec() })
    }
}
