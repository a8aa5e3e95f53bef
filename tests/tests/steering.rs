//! Claim: the engine attaches its XDP program only through a link, never in place of another
//! program, detaches it again, and names an obstacle in one sentence.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use libbpf_rs::{ObjectBuilder, XdpFlags, set_print};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use vxtap::interface::Interface;
use vxtap::steering::{AttachMode, Settings, Steering, SteeringCounters, SteeringError};
use vxtap_tests::{NetNs, Side, TIMEOUT, Veth, leftovers, privileged};

const SETTINGS: Settings<'static> =
    Settings { ports: &[4789], allowed_sources: &[], stamp_arrival: true, fragments: true };

/// Runs `body` in the receiver's namespace with its interface.
fn at_receiver<T: Send>(
    veth: &Veth,
    body: impl FnOnce(&Interface) -> Result<T> + Send,
) -> Result<T> {
    let Side { netns, interface, .. } = &veth.receiver;
    netns.run(|| body(&Interface::find(interface)?))
}

fn program_on(interface: &Interface) -> Result<Option<u32>> {
    Ok(Interface::with_index(interface.index)?.xdp_program)
}

/// Returns the committed object with its program under another name of the same length.
fn foreign_object() -> Result<Vec<u8>> {
    let mut object = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxtap.bpf.o"))?;
    let name = b"\0vxtap\0";
    let places: Vec<_> = (0..object.len()).filter(|&at| object[at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for at in places {
        object[at + 1..at + 6].copy_from_slice(b"other");
    }
    Ok(object)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn the_program_is_there_while_it_is_attached_and_its_counters_stay() -> Result<()> {
    privileged();
    let veth = Veth::pair(1)?;
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let mut steering = Steering::load(&SETTINGS)?;
        at_receiver(&veth, |interface| {
            assert_eq!(program_on(interface)?, None);
            steering.attach(interface.index, &interface.name, mode)?;
            assert!(program_on(interface)?.is_some(), "{mode:?}");
            steering.detach();
            assert_eq!(program_on(interface)?, None);
            steering.attach(interface.index, &interface.name, mode)?;
            steering.attach(interface.index, &interface.name, mode).context("attached twice")?;
            assert!(program_on(interface)?.is_some(), "{mode:?}");
            steering.detach();
            assert_eq!(steering.counters()?, SteeringCounters::default());
            steering.attach(interface.index, &interface.name, mode)?;
            drop(steering);
            assert_eq!(program_on(interface)?, None);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_second_engine_is_told_of_the_first() -> Result<()> {
    privileged();
    let veth = Veth::pair(1)?;
    at_receiver(&veth, |interface| {
        let mut first = Steering::load(&SETTINGS)?;
        first.attach(interface.index, &interface.name, AttachMode::Native)?;
        let id = program_on(interface)?.context("the first one's program")?;
        for mode in [AttachMode::Native, AttachMode::Generic] {
            let error = Steering::load(&SETTINGS)?
                .attach(interface.index, &interface.name, mode)
                .unwrap_err();
            assert!(
                matches!(&error, SteeringError::AnotherEngine { id: named, .. } if *named == id),
                "{error}"
            );
        }
        assert_eq!(program_on(interface)?, Some(id));
        Ok(())
    })
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_foreign_program_is_named_and_left_alone() -> Result<()> {
    privileged();
    let veth = Veth::pair(1)?;
    let by_link = |interface: &Interface| -> Result<()> {
        let mut ebpf = Ebpf::load(&foreign_object()?)?;
        let program: &mut Xdp = ebpf.program_mut("other").context("program")?.try_into()?;
        program.load()?;
        program.attach(&interface.name, XdpMode::Driver)?;
        is_refused(interface)
    };
    let by_netlink = |interface: &Interface| -> Result<()> {
        // Without its messages about sections that it ignores.
        set_print(None);
        let object = ObjectBuilder::default().open_memory(&foreign_object()?)?.load()?;
        let program = object.progs().find(|program| program.name() == "other");
        let program = program.context("program")?;
        let xdp = libbpf_rs::Xdp::new(program.as_fd());
        let index = i32::try_from(interface.index)?;
        xdp.attach(index, XdpFlags::DRV_MODE)?;
        let refused = is_refused(interface);
        xdp.detach(index, XdpFlags::DRV_MODE)?;
        refused
    };
    at_receiver(&veth, by_link)?;
    at_receiver(&veth, by_netlink)
}

fn is_refused(interface: &Interface) -> Result<()> {
    let id = program_on(interface)?.context("the foreign program")?;
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let attached = Steering::load(&SETTINGS)?.attach(interface.index, &interface.name, mode);
        let error = attached.expect_err("the place is taken");
        let SteeringError::ForeignProgram { program, .. } = &error else {
            panic!("{mode:?}: {error:?}")
        };
        assert_eq!((program.id, program.name.as_deref()), (id, Some("other")));
    }
    assert_eq!(program_on(interface)?, Some(id));
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_driver_without_native_mode_is_told_from_other_refusals_and_takes_generic_mode() -> Result<()> {
    privileged();
    NetNs::new()?.run(|| {
        let lo = Interface::find("lo")?;
        let mut steering = Steering::load(&SETTINGS)?;
        let error = steering.attach(lo.index, &lo.name, AttachMode::Native).unwrap_err();
        assert!(matches!(error, SteeringError::NoNativeMode { .. }), "{error:?}");
        Ok(steering.attach(lo.index, &lo.name, AttachMode::Generic)?)
    })
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn an_interface_that_has_gone_is_said_to_have_gone() -> Result<()> {
    privileged();
    let error =
        Steering::load(&SETTINGS)?.attach(0x7fff_0000, "gone0", AttachMode::Native).unwrap_err();
    assert!(matches!(error, SteeringError::Interface(_)), "{error:?}");
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn no_datagram_to_an_own_address_passes_while_the_check_of_destinations_is_switched() -> Result<()>
{
    privileged();
    let veth = Veth::pair(1)?;
    let address = IpAddr::from(veth.receiver.address);
    // Not the first one, which the program knows without a look at the map.
    let own = [IpAddr::from([10, 0, 0, 9]), address];
    let mut steering = Steering::load(&SETTINGS)?;
    at_receiver(&veth, |interface| {
        steering.set_destinations(Some(&own))?;
        steering.attach(interface.index, &interface.name, AttachMode::Native)?;
        Ok(())
    })?;
    let socket = veth.sender.netns.run(|| UdpSocket::bind((veth.sender.address, 0)))?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // A full queue is no failure.
                let _ = socket.send_to(&[0; 64], (address, 4789));
            }
        });
        let begin = Instant::now();
        let mut switch = || -> Result<bool> {
            for _ in 0..5 {
                steering.set_destinations(None)?;
                steering.set_destinations(Some(&own))?;
            }
            Ok(steering.counters()?.no_socket < 200_000 && begin.elapsed() < TIMEOUT)
        };
        let switched = loop {
            match switch() {
                Ok(true) => {}
                end => break end.map(drop),
            }
        };
        is_over.store(true, Ordering::Relaxed);
        switched
    })?;
    let counters = steering.counters()?;
    assert!(counters.no_socket >= 200_000, "too few datagrams: {counters:?}");
    assert_eq!(counters.other_destination, 0, "{counters:?}");
    Ok(())
}

/// Runs `body` on a thread that has these capabilities and no others.
fn with_only<T: Send>(allowed: CapabilitySet, body: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| -> Result<T> {
            let inheritable = capabilities(None)?.inheritable;
            set_capabilities(
                None,
                CapabilitySets { effective: allowed, permitted: allowed, inheritable },
            )?;
            Ok(body())
        });
        inside.join().expect("the body does not panic")
    })
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn three_capabilities_are_enough_and_without_any_of_them_the_error_names_them() -> Result<()> {
    privileged();
    let enough = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
    for too_few in enough.iter().map(|one| enough - one).chain([CapabilitySet::empty()]) {
        let error = with_only(too_few, || Steering::load(&SETTINGS))?.unwrap_err();
        assert!(matches!(error, SteeringError::NotPermitted { .. }), "{too_few:?}: {error:?}");
    }
    let veth = Veth::pair(1)?;
    at_receiver(&veth, |interface| {
        let attached = with_only(enough, || -> Result<Steering, SteeringError> {
            let mut steering = Steering::load(&SETTINGS)?;
            steering.attach(interface.index, &interface.name, AttachMode::Native)?;
            Ok(steering)
        });
        attached??.counters()?;
        Ok(())
    })?;
    leftovers::assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn sockets_come_and_go_by_queue() -> Result<()> {
    privileged();
    let mut steering = Steering::load(&SETTINGS)?;
    let unix = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    let error = steering.set_socket(0, unix.as_fd()).unwrap_err();
    assert!(matches!(error, SteeringError::Map { .. }), "not an AF_XDP socket: {error:?}");
    let xdp = socket(AddressFamily::XDP, SocketType::RAW, None)?;
    steering.set_socket(0, xdp.as_fd())?;
    steering.set_socket(1023, xdp.as_fd())?;
    let error = steering.set_socket(1024, xdp.as_fd()).unwrap_err();
    assert!(matches!(error, SteeringError::NoSuchQueue { queue: 1024, max: 1023 }), "{error:?}");
    steering.clear_socket(0)?;
    steering.clear_socket(0).context("cleared twice")?;
    assert!(matches!(steering.clear_socket(1024), Err(SteeringError::NoSuchQueue { .. })));
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn as_many_ports_and_sources_as_the_limits_say_are_taken() -> Result<()> {
    privileged();
    let ports: Vec<u16> = (1..=64).collect();
    let mut sources = Vec::new();
    for i in 0..4096_u32 {
        sources.push(format!("10.0.{}.{}/32", i / 256, i % 256).parse()?);
        sources.push(format!("2001:db8::{i:x}/128").parse()?);
    }
    Steering::load(&Settings {
        ports: &ports,
        allowed_sources: &sources,
        stamp_arrival: false,
        fragments: true,
    })?;
    Ok(())
}
