//! The XDP program: hands UDP datagrams to our ports to the AF_XDP socket of their queue and leaves
//! everything else to the kernel stack.
//!
//! Built by `cargo xtask build-ebpf` for `bpfel-unknown-none`, loaded by the engine. It never
//! writes to a frame, and the only frames that it drops are those to our ports from a source
//! outside the allow-lists.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "frame bytes, metadata and counters are reached through raw pointers"
)]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, XskMap};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_meta, bpf_xdp_get_buff_len};
use aya_ebpf::macros::{btf_map, raw_tracepoint, xdp};
use aya_ebpf::programs::{RawTracePointContext, XdpContext};
use vxtap_ebpf::arrival::{AREA_LEN, Arrival, MARK};
use vxtap_ebpf::fragment::{FragmentKey, fragment};
use vxtap_ebpf::maps::{
    ALLOWED_MAX, CHECK_DESTINATION, CHECK_SOURCE, DESTINATIONS_MAX, FRAGMENTS_MAX, OUTCOMES,
    Outcome, PORT_WORDS, SINGLE_BUFFER, SOCKETS_MAX, STAMP_ARRIVAL, STEER_FRAGMENTS, Settings,
    mapped, port_bit,
};
use vxtap_ebpf::parse::{Address, Datagram, Refusal, Source, any_datagram, plain_datagram};
use vxtap_ebpf::wire::Bytes;

#[btf_map]
static SOCKETS: XskMap<{ SOCKETS_MAX as usize }> = XskMap::new();
#[btf_map]
static PORTS: Array<u64, { PORT_WORDS as usize }> = Array::new();
#[btf_map]
static ALLOWED_V4: LpmTrie<[u8; 4], u8, { ALLOWED_MAX as usize }> = LpmTrie::new();
#[btf_map]
static ALLOWED_V6: LpmTrie<[u8; 16], u8, { ALLOWED_MAX as usize }> = LpmTrie::new();
#[btf_map]
static DESTINATIONS: HashMap<[u8; 16], u8, { DESTINATIONS_MAX as usize }> = HashMap::new();
#[btf_map]
static OTHER_DESTINATION: Array<[u8; 16], 1> = Array::new();
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static COUNTERS: PerCpuArray<u64, { OUTCOMES as usize }> = PerCpuArray::new();
#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, u32, { FRAGMENTS_MAX as usize }> = LruHashMap::new();

// The name is `vxtap_ebpf::maps::PROGRAM`.
#[expect(clippy::needless_pass_by_value, reason = "the macro calls it so")]
#[xdp(frags)]
fn vxtap(ctx: XdpContext) -> u32 {
    let frame = Frame::of(&ctx);
    // Apart, so that nothing on the way of most frames has to fit others too.
    if let Some(datagram) = plain_datagram(&frame) {
        return steer_datagram(&ctx, &datagram);
    }
    match any_datagram(&frame) {
        Ok(datagram) => steer_datagram(&ctx, &datagram),
        Err(Refusal::Fragment) if flags() & STEER_FRAGMENTS != 0 => steer_fragment(&ctx),
        Err(refusal) => pass(outcome_of(refusal)),
    }
}

/// Decides about a whole datagram.
#[expect(clippy::inline_always, reason = "as for `steer`")]
#[inline(always)]
fn steer_datagram(ctx: &XdpContext, datagram: &Datagram) -> u32 {
    if !is_ours(datagram.destination_port) {
        return pass(Outcome::NotOurs);
    }
    steer(ctx, datagram.source, datagram.destination)
}

/// Decides about a fragment: the first one by its port, the others as the first one of the same
/// packet.
fn steer_fragment(ctx: &XdpContext) -> u32 {
    let Some(fragment) = fragment(&Frame::of(ctx)) else {
        return pass(Outcome::Fragment);
    };
    let is_ours = match fragment.destination_port {
        Some(port) if is_ours(port) => FRAGMENTS.insert(fragment.key, 1, 0).is_ok(),
        // The identification of an earlier packet to our ports, once more.
        Some(_) => {
            let _ = FRAGMENTS.remove(fragment.key);
            false
        }
        None => FRAGMENTS.get_ptr(fragment.key).is_some(),
    };
    if !is_ours {
        return pass(Outcome::Fragment);
    }
    steer(ctx, fragment.source, fragment.destination)
}

fn flags() -> u32 {
    SETTINGS.get(0).map_or(0, |settings| settings.flags)
}

/// Decides about a datagram to one of our ports.
#[expect(
    clippy::inline_always,
    reason = "else addresses are passed on the stack, where the verifier wants them aligned"
)]
#[inline(always)]
fn steer(ctx: &XdpContext, source: Source, destination: Address) -> u32 {
    let Settings { flags, own_v4, .. } = SETTINGS.get(0).copied().unwrap_or_default();
    // Before the source: a datagram that this host forwards is nobody's to drop.
    if flags & CHECK_DESTINATION != 0 && !is_own(destination, own_v4) {
        return pass(Outcome::OtherDestination);
    }
    if flags & CHECK_SOURCE != 0 && !is_allowed(source) {
        count(Outcome::SourceNotAllowed);
        return XDP_DROP;
    }
    // The kernel would lose it without counting it (before Linux 6.6).
    if flags & SINGLE_BUFFER != 0 && has_several_buffers(ctx) {
        return pass(Outcome::SeveralBuffers);
    }
    // A frame for the stack gets no stamp: the stack would carry it into the socket buffer and
    // compare it when it merges packets (GRO). XDP_PASS in the flags is what a queue without socket
    // gives.
    let Ok(action) = SOCKETS.redirect(ctx.rx_queue_index(), u64::from(XDP_PASS)) else {
        return pass(Outcome::NoSocket);
    };
    if flags & STAMP_ARRIVAL != 0 && !stamp(ctx) {
        count(Outcome::Unstamped);
    }
    count(Outcome::Redirected);
    action
}

fn has_several_buffers(ctx: &XdpContext) -> bool {
    // SAFETY: the context is the one that the kernel called the program with.
    let len = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
    len > (ctx.data_end() - ctx.data()) as u64
}

/// Distance that the start of the metadata moves for an [`Arrival`].
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the length is 16")]
const AREA_OFFSET: i32 = -(AREA_LEN as i32);

/// Puts the arrival time in front of the frame; `false` if there is no room for metadata, or
/// something in it already, which would come to lie between frame and time.
fn stamp(ctx: &XdpContext) -> bool {
    if ctx.metadata() < ctx.metadata_end() {
        return false;
    }
    // SAFETY: the context is the one that the kernel called the program with. The call ends the
    // validity of all frame pointers, and none is used after it.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, AREA_OFFSET) } != 0 {
        return false;
    }
    let area = ctx.metadata();
    if area + AREA_LEN > ctx.metadata_end() {
        return false;
    }
    // SAFETY: a helper without preconditions.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the area lies between the metadata's start and the frame's, as just checked. It may
    // be unaligned: a BPF store has no alignment, save on kernels without efficient unaligned
    // access, whose verifier refuses the program.
    unsafe { (area as *mut Arrival).write(Arrival { mark: MARK, time_ns }) };
    true
}

fn is_ours(port: u16) -> bool {
    let (word, bit) = port_bit(port);
    PORTS.get(word).is_some_and(|ports| ports & bit != 0)
}

/// Returns whether this host takes datagrams to an address.
#[expect(clippy::inline_always, reason = "as for `steer`")]
#[inline(always)]
fn is_own(destination: Address, own_v4: u32) -> bool {
    match destination {
        Address::V4(address) => {
            is_known_v4(u32::from_ne_bytes(address), own_v4) || is_listed(mapped(address))
        }
        Address::V6(address) => address[0] == 0xff || is_listed(address),
    }
}

/// Returns whether an address is in the map of own ones; remembers it otherwise.
fn is_listed(key: [u8; 16]) -> bool {
    if DESTINATIONS.get_ptr(key).is_some() {
        return true;
    }
    if let Some(last) = OTHER_DESTINATION.get_ptr_mut(0) {
        // SAFETY: the map's element has 16 bytes. Another CPU may write to it at the same time; the
        // engine only shows it as an example.
        unsafe { *last = key };
    }
    false
}

/// Returns whether an IPv4 address, as it lies in the header, is ours without a look-up: the one in
/// the settings, a multicast group, or 255.255.255.255.
const fn is_known_v4(address: u32, own_v4: u32) -> bool {
    const GROUPS: (u32, u32) = (0xf000_0000_u32.to_be(), 0xe000_0000_u32.to_be());
    address == own_v4 || address & GROUPS.0 == GROUPS.1 || address == u32::MAX
}

fn is_allowed(source: Source) -> bool {
    match source {
        Address::V4(address) => ALLOWED_V4.get(&Key::new(32, address)).is_some(),
        Address::V6(address) => ALLOWED_V6.get(&Key::new(128, address)).is_some(),
    }
}

/// Errors of a redirect after which the socket has counted the frame as lost
/// ([`net/xdp/xsk.c`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)): no chunk, no
/// room in the RX ring, longer than a chunk.
const COUNTED_ERRORS: [i32; 3] = [-ENOMEM, -ENOBUFS, -ENOSPC];
const ENOMEM: i32 = 12;
const ENOSPC: i32 = 28;
const ENOBUFS: i32 = 105;

/// Counts a frame that the kernel refuses although the XDP program has redirected it. Arguments of
/// the tracepoint: device, program, target, error, type and identifier of the map, index.
// The name is `vxtap_ebpf::maps::REDIRECT_ERRORS`, the tracepoint `REDIRECT_ERRORS_AT`.
#[expect(clippy::needless_pass_by_value, reason = "the macro calls it so")]
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
fn vxtap_redirect_errors(ctx: RawTracePointContext) {
    let (error, map_id): (i32, u32) = (ctx.arg(3), ctx.arg(5));
    let is_of_ours = SETTINGS.get(0).is_some_and(|settings| settings.sockets_id == map_id);
    if is_of_ours && !COUNTED_ERRORS.contains(&error) {
        count(Outcome::RedirectErr);
    }
}

fn pass(outcome: Outcome) -> u32 {
    count(outcome);
    XDP_PASS
}

const fn outcome_of(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::NotUdp => Outcome::NotOurs,
        Refusal::Fragment => Outcome::Fragment,
        Refusal::Malformed => Outcome::Malformed,
        Refusal::TooManyExtensions => Outcome::TooManyExtensions,
    }
}

fn count(outcome: Outcome) {
    if let Some(counter) = COUNTERS.get_ptr_mut(outcome as u32) {
        // SAFETY: the counter of this CPU, on which the program runs with migration disabled.
        unsafe { *counter += 1 };
    }
}

/// The frame's first buffer. Of a frame in several buffers the others are out of reach, and hold no
/// headers.
struct Frame {
    start: usize,
    end: usize,
}

impl Frame {
    fn of(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }
}

impl Bytes for Frame {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let bytes = self.start + offset;
        if bytes + N > self.end {
            return None;
        }
        // SAFETY: `N` bytes from here end within the frame, as just checked. Arrays of bytes have
        // no alignment.
        Some(unsafe { *(bytes as *const [u8; N]) })
    }
}

/// The verifier refuses an endless loop, so that a program in which a panic could be reached is
/// never loaded.
#[panic_handler]
const fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The kernel reads the licence from this section. Its helpers do not ask for the GPL; naming it
// allows GPL-only helpers later.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
