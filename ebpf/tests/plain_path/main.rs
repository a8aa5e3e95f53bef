//! The committed XDP program redirects a plain VXLAN datagram in a bounded number of instructions.
//!
//! The object is run by a small interpreter, so that the count needs neither a kernel nor
//! privileges. The verifier's own rewriting (inlined look-ups in arrays) is not part of it.

mod machine;

use etherparse::PacketBuilder;
use machine::{
    KTIME_GET_NS, MAP_LOOKUP_ELEM, Machine, NOW_NS, Program, REDIRECT_MAP, Run, XDP_ADJUST_META,
    XDP_REDIRECT,
};
use vxtap_ebpf::arrival::Arrival;
use vxtap_ebpf::maps::{CHECK_DESTINATION, PORTS, SETTINGS, STAMP_ARRIVAL, port_bit};

/// Most instructions that the plain path may execute. Each costs on every frame.
const INSTRUCTIONS_MAX: usize = 125;
const PORT: u16 = 4789;
const DESTINATION: [u8; 4] = [10, 0, 0, 9];

fn run(frame: &[u8], flags: u32) -> Run {
    let program = Program::in_section(include_bytes!("../../vxtap.bpf.o"), "xdp.frags");
    let (word, bit) = port_bit(PORT);
    // The flags, and behind them the own address.
    let own_v4 = u64::from(u32::from_le_bytes(DESTINATION));
    let values = [(PORTS, word, bit), (SETTINGS, 0, u64::from(flags) | own_v4 << 32)];
    Machine::new(frame, &values).run(&program)
}

fn datagram(port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 7], DESTINATION, 255);
    let mut frame = Vec::new();
    builder.udp(65408, port).write(&mut frame, &[8; 100]).expect("a buffer takes it");
    frame
}

#[test]
fn a_plain_datagram_is_stamped_and_redirected_in_a_bounded_number_of_instructions() {
    let run = run(&datagram(PORT), STAMP_ARRIVAL | CHECK_DESTINATION);
    assert_eq!(run.action, XDP_REDIRECT);
    assert_eq!(run.metadata, Arrival::bytes(NOW_NS));
    assert!(run.instructions <= INSTRUCTIONS_MAX, "{} instructions", run.instructions);
    let called: Vec<_> = run.helpers.into_iter().filter(|&id| id != MAP_LOOKUP_ELEM).collect();
    assert_eq!(called, [REDIRECT_MAP, XDP_ADJUST_META, KTIME_GET_NS]);
}

#[test]
fn a_datagram_to_another_port_is_passed_without_a_call_other_than_looking_into_arrays() {
    let run = run(&datagram(PORT + 1), STAMP_ARRIVAL);
    assert_eq!(run.action, 2, "XDP_PASS");
    assert!(run.metadata.is_empty());
    assert!(run.helpers.iter().all(|&id| id == MAP_LOOKUP_ELEM), "{:?}", run.helpers);
}
