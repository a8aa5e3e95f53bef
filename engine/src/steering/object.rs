//! The embedded object: the XDP program and its maps. A test in crate `vxtap-tests` checks that it
//! has the program and all maps.

use aya::maps::{Map, MapError};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use vxtap_ebpf::maps;

use super::error::SteeringError;

/// The program as `cargo xtask build-ebpf` built it.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxtap.bpf.o"));

/// Loads the program and its maps into the kernel, which verifies it.
pub(super) fn load() -> Result<Ebpf, SteeringError> {
    let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(SteeringError::of_load)?;
    program(&mut ebpf)?.load().map_err(SteeringError::of_load)?;
    Ok(ebpf)
}

/// Returns the XDP program.
pub(super) fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, SteeringError> {
    let program =
        ebpf.program_mut(maps::PROGRAM).ok_or(SteeringError::Object { part: maps::PROGRAM })?;
    program.try_into().map_err(SteeringError::of_load)
}

pub(super) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, SteeringError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(SteeringError::Object { part: name })?;
    M::try_from(map).map_err(map_error(name))
}

pub(super) fn map_error(map: &'static str) -> impl Fn(MapError) -> SteeringError {
    move |source| SteeringError::Map { map, source: Box::new(source) }
}
