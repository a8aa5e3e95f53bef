//! Chains of headers, each with what the parser has to make of the frame when it ends early, at
//! whatever length. Read by the tests of the parser and by those of the XDP program in crate
//! `vxtap-tests`.

mod headers;

use headers::{
    ah, concat, destination, esp, ethernet, fragment_header, hop_by_hop, ipv4, ipv4_with, ipv6,
    routing, tcp, udp, vlan,
};
use vxtap_ebpf::parse::Refusal::{self, Fragment, Malformed, NotUdp, TooManyExtensions};

/// A chain of headers.
pub(crate) struct Chain {
    /// Its special property.
    pub(crate) name: &'static str,
    /// The whole frame: headers and some payload.
    pub(crate) frame: Vec<u8>,
    /// From which length of the frame on there is which outcome, in ascending order from length 0.
    /// The outcome is the destination port, or the refusal.
    pub(crate) outcomes: Vec<(usize, Result<u16, Refusal>)>,
}

impl Chain {
    /// Returns the expected outcome of the first `len` bytes.
    pub(crate) fn expected(&self, len: usize) -> Result<u16, Refusal> {
        let (_, outcome) =
            self.outcomes.iter().rev().find(|(from, _)| *from <= len).expect("from 0 on");
        *outcome
    }
}

/// Destination port of every datagram here.
pub(crate) const PORT: u16 = 4789;

/// Bytes in the Ethernet header, and up to and including the fixed part of the IPv4 and IPv6
/// headers behind it.
const ETHERNET: usize = 14;
const IPV4: usize = ETHERNET + 20;
const IPV6: usize = ETHERNET + 40;
const TAG: usize = 4;
const UDP: usize = 8;

/// A frame that is understood once `len` bytes of it are there, and malformed before.
#[expect(clippy::needless_pass_by_value, reason = "the parts are written where they are passed")]
fn whole(
    name: &'static str,
    len: usize,
    parts: Vec<Vec<u8>>,
    outcome: Result<u16, Refusal>,
) -> Chain {
    Chain { name, frame: concat(&parts), outcomes: vec![(0, Err(Malformed)), (len, outcome)] }
}

/// All of them.
pub(crate) fn all() -> Vec<Chain> {
    [link_layer(), version_4(), version_4_refused(), version_6(), version_6_refused(), fragments()]
        .into_iter()
        .flatten()
        .collect()
}

fn link_layer() -> Vec<Chain> {
    let tagged = |outer, inner| vec![ethernet(outer), vlan(inner), ipv4(17), udp(PORT)];
    let twice =
        |outer, inner| vec![ethernet(outer), vlan(inner), vlan(0x0800), ipv4(17), udp(PORT)];
    vec![
        whole("IPv4", IPV4 + UDP, vec![ethernet(0x0800), ipv4(17), udp(PORT)], Ok(PORT)),
        whole("VLAN", TAG + IPV4 + UDP, tagged(0x8100, 0x0800), Ok(PORT)),
        whole("provider VLAN", TAG + IPV4 + UDP, tagged(0x88a8, 0x0800), Ok(PORT)),
        whole("QinQ 802.1ad", 2 * TAG + IPV4 + UDP, twice(0x88a8, 0x8100), Ok(PORT)),
        whole("QinQ before 802.1ad", 2 * TAG + IPV4 + UDP, twice(0x9100, 0x8100), Ok(PORT)),
        whole(
            "three tags",
            2 * TAG + ETHERNET,
            vec![ethernet(0x88a8), vlan(0x8100), vlan(0x8100), vlan(0x0800), ipv4(17), udp(PORT)],
            Err(NotUdp),
        ),
        whole("ARP", ETHERNET, vec![ethernet(0x0806), vec![0; 28]], Err(NotUdp)),
        whole("802.3 with a length", ETHERNET, vec![ethernet(0x0026), vec![0; 38]], Err(NotUdp)),
        whole(
            "IPv6 in a VLAN",
            TAG + IPV6 + UDP,
            vec![ethernet(0x8100), vlan(0x86dd), ipv6(17), udp(PORT)],
            Ok(PORT),
        ),
    ]
}

fn version_4() -> Vec<Chain> {
    let with =
        |change: &dyn Fn(&mut Vec<u8>)| vec![ethernet(0x0800), ipv4_with(17, 0, change), udp(PORT)];
    let options = |len| vec![ethernet(0x0800), ipv4_with(17, len, &|_| {}), udp(PORT)];
    vec![
        whole("4 bytes of options", IPV4 + 4 + UDP, options(4), Ok(PORT)),
        whole("40 bytes of options", IPV4 + 40 + UDP, options(40), Ok(PORT)),
        whole("don't fragment", IPV4 + UDP, with(&|ip| ip[6] = 0x40), Ok(PORT)),
        whole("reserved flag", IPV4 + UDP, with(&|ip| ip[6] = 0x80), Ok(PORT)),
        whole(
            "UDP length beyond the frame",
            IPV4 + UDP,
            {
                let mut parts = with(&|ip| ip[2..4].copy_from_slice(&2000_u16.to_be_bytes()));
                parts[2][4..6].copy_from_slice(&1980_u16.to_be_bytes());
                parts
            },
            Ok(PORT),
        ),
        whole(
            "UDP shorter than its packet",
            IPV4 + UDP,
            with(&|ip| ip[2..4].copy_from_slice(&60_u16.to_be_bytes())),
            Ok(PORT),
        ),
    ]
}

fn version_4_refused() -> Vec<Chain> {
    let with =
        |change: &dyn Fn(&mut Vec<u8>)| vec![ethernet(0x0800), ipv4_with(17, 0, change), udp(PORT)];
    let udp_len = |len: u16| {
        let mut header = udp(PORT);
        header[4..6].copy_from_slice(&len.to_be_bytes());
        vec![ethernet(0x0800), ipv4(17), header]
    };
    vec![
        whole("TCP", IPV4, vec![ethernet(0x0800), ipv4(6), tcp()], Err(NotUdp)),
        whole(
            "TCP behind options",
            IPV4,
            vec![ethernet(0x0800), ipv4_with(6, 8, &|_| {}), tcp()],
            Err(NotUdp),
        ),
        whole("IPv4 says version 6", IPV4, with(&|ip| ip[0] = 0x65), Err(Malformed)),
        whole("IPv4 header of 16 bytes", IPV4, with(&|ip| ip[0] = 0x44), Err(Malformed)),
        whole("IPv4 header of 0 bytes", IPV4, with(&|ip| ip[0] = 0x40), Err(Malformed)),
        whole("IPv4 total length 0", IPV4, with(&|ip| ip[2..4].fill(0)), Err(Malformed)),
        whole(
            "IPv4 packet ends in the UDP header",
            IPV4,
            with(&|ip| ip[2..4].copy_from_slice(&[0, 27])),
            Err(Malformed),
        ),
        whole("UDP length 0", IPV4, udp_len(0), Err(Malformed)),
        whole("UDP length 7", IPV4, udp_len(7), Err(Malformed)),
        whole("UDP length of the header alone", IPV4 + UDP, udp_len(8), Ok(PORT)),
        whole("UDP longer than its packet", IPV4, udp_len(25), Err(Malformed)),
    ]
}

fn version_6() -> Vec<Chain> {
    let chain = |name, first, headers: Vec<Vec<u8>>| {
        let headers = headers.concat();
        let len = IPV6 + headers.len() + UDP;
        whole(name, len, vec![ethernet(0x86dd), ipv6(first), headers, udp(PORT)], Ok(PORT))
    };
    vec![
        chain("IPv6", 17, vec![]),
        chain("hop-by-hop options", 0, vec![hop_by_hop(17, 0)]),
        chain("long hop-by-hop options", 0, vec![hop_by_hop(17, 255)]),
        chain("routing header", 43, vec![routing(17, 2)]),
        chain("destination options", 60, vec![destination(17, 1)]),
        chain("authentication header", 51, vec![ah(17, 4)]),
        chain("atomic fragment", 44, vec![fragment_header(17, 0, false)]),
        chain(
            "six extension headers, one of each and one more",
            0,
            vec![
                hop_by_hop(60, 0),
                destination(43, 0),
                routing(44, 1),
                fragment_header(51, 0, false),
                ah(60, 1),
                destination(17, 3),
            ],
        ),
        chain(
            "six extension headers of the greatest length",
            60,
            vec![
                destination(60, 255),
                destination(60, 255),
                destination(60, 255),
                destination(60, 255),
                destination(60, 255),
                destination(17, 255),
            ],
        ),
    ]
}

fn version_6_refused() -> Vec<Chain> {
    let eth = || ethernet(0x86dd);
    let with = |name, change: &dyn Fn(&mut [u8])| {
        let mut chain = whole(name, IPV6, vec![eth(), ipv6(17), udp(PORT)], Err(Malformed));
        change(&mut chain.frame[ETHERNET..]);
        chain
    };
    let seven: Vec<u8> = (0..7).flat_map(|i| destination(if i < 6 { 60 } else { 17 }, 0)).collect();
    let after_six: Vec<u8> =
        (0..6).flat_map(|i| destination(if i < 5 { 60 } else { 6 }, 0)).collect();
    vec![
        whole("TCP over IPv6", IPV6, vec![eth(), ipv6(6), tcp()], Err(NotUdp)),
        whole("ICMPv6", IPV6, vec![eth(), ipv6(58), vec![0; 8]], Err(NotUdp)),
        whole("ESP", IPV6, vec![eth(), ipv6(50), esp()], Err(NotUdp)),
        whole("no next header", IPV6, vec![eth(), ipv6(59)], Err(NotUdp)),
        // The extension header says TCP in its first two bytes; what follows does not matter.
        whole(
            "TCP behind IPv6 options",
            IPV6 + 2,
            vec![eth(), ipv6(0), hop_by_hop(6, 3), tcp()],
            Err(NotUdp),
        ),
        whole(
            "TCP behind six headers",
            IPV6 + 42,
            vec![eth(), ipv6(60), after_six, tcp()],
            Err(NotUdp),
        ),
        whole(
            "seven headers",
            IPV6 + 42,
            vec![eth(), ipv6(60), seven, udp(PORT)],
            Err(TooManyExtensions),
        ),
        with("IPv6 says version 4", &|ip| ip[0] = 0x45),
        with("IPv6 payload length 0", &|ip| ip[4..6].fill(0)),
        with("IPv6 packet ends in the UDP header", &|ip| ip[5] = 7),
        with("UDP longer than its IPv6 packet", &|ip| ip[5] -= 1),
    ]
}

fn fragments() -> Vec<Chain> {
    let v4 = |protocol, high, low| {
        let change = move |ip: &mut Vec<u8>| ip[6..8].copy_from_slice(&[high, low]);
        vec![ethernet(0x0800), ipv4_with(protocol, 0, &change), udp(PORT)]
    };
    let v6 = |next, offset, more| {
        vec![ethernet(0x86dd), ipv6(44), fragment_header(next, offset, more), udp(PORT)]
    };
    let behind_options = vec![
        ethernet(0x86dd),
        ipv6(60),
        destination(44, 0),
        fragment_header(17, 185, true),
        udp(PORT),
    ];
    vec![
        whole("first IPv4 fragment", IPV4, v4(17, 0x20, 0), Err(Fragment)),
        whole("second IPv4 fragment", IPV4, v4(17, 0x20, 185), Err(Fragment)),
        whole("last IPv4 fragment", IPV4, v4(17, 0, 185), Err(Fragment)),
        whole("fragment far back", IPV4, v4(17, 0x1f, 0), Err(Fragment)),
        whole("IPv4 fragment of TCP", IPV4, v4(6, 0x20, 0), Err(NotUdp)),
        whole("first IPv6 fragment", IPV6 + 8, v6(17, 0, true), Err(Fragment)),
        whole("last IPv6 fragment", IPV6 + 8, v6(17, 185, false), Err(Fragment)),
        whole("IPv6 fragment of something unknown", IPV6 + 8, v6(60, 0, true), Err(Fragment)),
        whole("IPv6 fragment of TCP", IPV6 + 8, v6(6, 0, true), Err(NotUdp)),
        whole("IPv6 fragment behind options", IPV6 + 16, behind_options, Err(Fragment)),
        whole("atomic fragment of TCP", IPV6 + 8, v6(6, 0, false), Err(NotUdp)),
    ]
}
