//! vxgen's programs in the kernel: one makes frames, two count their outcomes, one drops arriving
//! frames.
//!
//! Built by `cargo xtask build-ebpf` for `bpfel-unknown-none`; what the maps hold is in
//! `vxtap_ebpf::generator`.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "frame bytes and map values are reached through raw pointers")]

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::btf_maps::{Array, DevMap, PerCpuArray};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_tail, bpf_xdp_store_bytes};
use aya_ebpf::macros::{btf_map, raw_tracepoint, xdp};
use aya_ebpf::programs::{RawTracePointContext, XdpContext};
use vxtap_ebpf::generator::{
    CLOCK_EVERY, Dropped, FRAME_MAX, Flushed, HEAD_LEN, Head, MARK_AT_MAX, MARK_LEN, Progress,
    Settings, TABLE_LEN, Whole,
};

#[btf_map]
static DEVICE: DevMap<1> = DevMap::new();
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static PROGRESS: Array<Progress, 1> = Array::new();
#[btf_map]
static HEADS: Array<Head, { TABLE_LEN as usize }> = Array::new();
#[btf_map]
static WHOLES: Array<Whole, { TABLE_LEN as usize }> = Array::new();
#[btf_map]
static FLUSHED: PerCpuArray<Flushed, 1> = PerCpuArray::new();
#[btf_map]
static DROPPED: PerCpuArray<Dropped, 1> = PerCpuArray::new();

/// Clock readings in one run before it gives up and lets the kernel look after other work: about 10
/// µs.
const READINGS_MAX: u32 = 256;

#[xdp]
fn vxgen(ctx: XdpContext) -> u32 {
    next_frame(&ctx).unwrap_or(XDP_DROP)
}

/// Makes the next frame and hands it over; `None` if none is due, or something is not as the loader
/// left it.
fn next_frame(ctx: &XdpContext) -> Option<u32> {
    let settings = SETTINGS.get(0)?;
    let progress = PROGRESS.get_ptr_mut(0)?;
    // SAFETY: an element of an array map lives as long as the map, and no other thread writes to
    // this one: the loader runs the program from one thread.
    let progress = unsafe { &mut *progress };
    if progress.ended != 0 || !is_due(settings, progress) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below the number of entries")]
    let index = progress.index as u32;
    let head = HEADS.get(index)?;
    let is_whole = settings.proof_every != 0 && progress.until_whole == 0;
    if is_whole {
        write_whole(ctx, index, head.frame_len)?;
    } else {
        write_head(ctx, head)?;
    }
    set_length(ctx, head.frame_len, settings.template_len)?;
    let action = DEVICE.redirect(0, 0).ok()?;
    advance(settings, progress, is_whole);
    let flushed = FLUSHED.get_ptr_mut(0)?;
    // SAFETY: the element of this CPU, on which the program runs with migration disabled.
    unsafe { (*flushed).pending += 1 };
    Some(action)
}

/// Waits until the next frame is due; `false` if that takes longer, or if it must not be sent any
/// more.
#[inline(always)]
fn is_due(settings: &Settings, progress: &mut Progress) -> bool {
    if progress.number >= settings.count {
        progress.ended = 1;
        return false;
    }
    let is_last = progress.number + 1 == settings.count;
    if settings.step.rate == 0 && progress.number % CLOCK_EVERY != 0 && !is_last {
        return true;
    }
    let mut now = clock();
    if progress.first_ns == 0 {
        progress.first_ns = now;
    }
    let due = progress.first_ns + progress.due.after_ns;
    let mut readings = 0;
    while now < due && readings < READINGS_MAX {
        now = clock();
        readings += 1;
    }
    let is_over = |at: u64| at - progress.first_ns >= settings.duration_ns;
    if is_over(now) || is_over(due) {
        progress.ended = 1;
        return false;
    }
    if now < due {
        return false;
    }
    progress.last_ns = now;
    true
}

fn clock() -> u64 {
    // SAFETY: a helper without preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Moves on to the frame after the one that was handed over.
#[inline(always)]
fn advance(settings: &Settings, progress: &mut Progress, was_whole: bool) {
    progress.number += 1;
    progress.index += 1;
    if progress.index >= settings.table_len {
        progress.index = 0;
    }
    progress.until_whole =
        if was_whole { settings.proof_every - 1 } else { progress.until_whole.saturating_sub(1) };
    if settings.step.rate != 0 {
        progress.due = progress.due.next(&settings.step);
    }
}

/// Writes a frame of the table with its proof.
#[inline(always)]
fn write_whole(ctx: &XdpContext, index: u32, frame_len: u64) -> Option<()> {
    let whole = WHOLES.get_ptr(index)?;
    if frame_len == 0 || frame_len > FRAME_MAX as u64 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "just checked")]
    let len = frame_len as u32;
    // SAFETY: the context is the one that the kernel called the program with; the value holds
    // `FRAME_MAX` bytes, and the call ends the validity of frame pointers, of which there are none.
    let result = unsafe { bpf_xdp_store_bytes(ctx.ctx, 0, whole as *mut _, len) };
    (result == 0).then_some(())
}

/// Writes the headers, and leaves no proof of an older frame behind them.
#[inline(always)]
fn write_head(ctx: &XdpContext, head: &Head) -> Option<()> {
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + HEAD_LEN > end {
        return None;
    }
    for (i, word) in head.bytes.iter().enumerate() {
        // Volatile, for the compiler makes one call of the loop otherwise: to a function that moves
        // single bytes. SAFETY: the word lies within the frame, as just checked. The kernel starts
        // its live frames at an aligned address, and a BPF store has no alignment but where the
        // verifier refuses such a program.
        unsafe { (start as *mut u64).add(i).write_volatile(*word) };
    }
    if head.mark_at == 0 {
        return Some(());
    }
    let mark = start + (head.mark_at % MARK_AT_MAX) as usize;
    if mark + MARK_LEN > end {
        return None;
    }
    // SAFETY: within the frame, as just checked. Arrays of bytes have no alignment.
    unsafe { *(mark as *mut [u8; MARK_LEN]) = [0; MARK_LEN] };
    Some(())
}

/// Cuts the frame, which is as long as the template whenever the program starts.
#[inline(always)]
fn set_length(ctx: &XdpContext, frame_len: u64, template_len: u64) -> Option<()> {
    if frame_len == template_len {
        return Some(());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "both below 4096"
    )]
    let delta = frame_len as i32 - template_len as i32;
    // SAFETY: the context is the one that the kernel called the program with. The call ends the
    // validity of all frame pointers, and none is used after it.
    let result = unsafe { bpf_xdp_adjust_tail(ctx.ctx, delta) };
    (result == 0).then_some(())
}

/// Arguments: device that the frames come from, device that they go to, sent, not sent, error.
#[raw_tracepoint(tracepoint = "xdp_devmap_xmit")]
fn vxgen_flushed(ctx: RawTracePointContext) -> u32 {
    let (sent, refused) = (ctx.arg::<i32>(2), ctx.arg::<i32>(3));
    let error = ctx.arg::<i32>(4);
    if let Some(flushed) = pending() {
        flushed.pending = flushed.pending.saturating_sub(positive(sent) + positive(refused));
        flushed.sent += positive(sent);
        flushed.refused += positive(refused);
        note(flushed, error);
    }
    0
}

/// Arguments: device that the frame comes from, program, target, error, and where it was looked up.
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
fn vxgen_failed(ctx: RawTracePointContext) -> u32 {
    let error = ctx.arg::<i32>(3);
    if let Some(flushed) = pending() {
        flushed.pending -= 1;
        flushed.failed += 1;
        note(flushed, error);
    }
    0
}

/// This CPU's counters, if news can be about frames of ours.
#[inline(always)]
fn pending() -> Option<&'static mut Flushed> {
    let flushed = FLUSHED.get_ptr_mut(0)?;
    // SAFETY: the element of this CPU. Softirqs, where frames are handed over, do not interrupt
    // each other.
    let flushed = unsafe { &mut *flushed };
    (flushed.pending > 0).then_some(flushed)
}

fn note(flushed: &mut Flushed, error: i32) {
    if error < 0 {
        flushed.errno = u64::from(error.unsigned_abs());
    }
}

fn positive(count: i32) -> u64 {
    u64::from(count.max(0).unsigned_abs())
}

const ETHERTYPE_AT: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xDD];
const UDP: u8 = 17;
const VXLAN_PORT: [u8; 2] = 4789_u16.to_be_bytes();
/// UDP and VXLAN header.
const TUNNEL_LEN: usize = 16;

#[expect(clippy::needless_pass_by_value, reason = "the macro calls it so")]
#[xdp(frags)]
fn vxdrop(ctx: XdpContext) -> u32 {
    let (start, end) = (ctx.data(), ctx.data_end());
    if let Some(dropped) = DROPPED.get_ptr_mut(0) {
        // SAFETY: the element of this CPU, on which the program runs with migration disabled.
        let dropped = unsafe { &mut *dropped };
        match inner_start(start, end) {
            Some(inner) => {
                dropped.frames += 1;
                dropped.inner_bytes += (end - start - inner) as u64;
            }
            None => dropped.foreign += 1,
        }
    }
    XDP_DROP
}

/// Returns the start of the inner frame, if this is VXLAN.
#[inline(always)]
fn inner_start(start: usize, end: usize) -> Option<usize> {
    const V4: usize = 14 + 20;
    const V6: usize = 14 + 40;
    let headers: &[u8; V4 + TUNNEL_LEN] = bytes(start, end)?;
    let ethertype = [headers[ETHERTYPE_AT], headers[ETHERTYPE_AT + 1]];
    if ethertype == IPV4 {
        let is_vxlan = headers[14] == 0x45
            && headers[14 + 9] == UDP
            && [headers[V4 + 2], headers[V4 + 3]] == VXLAN_PORT;
        return is_vxlan.then_some(V4 + TUNNEL_LEN);
    }
    let headers: &[u8; V6 + TUNNEL_LEN] = bytes(start, end)?;
    let is_vxlan = ethertype == IPV6
        && headers[14 + 6] == UDP
        && [headers[V6 + 2], headers[V6 + 3]] == VXLAN_PORT;
    is_vxlan.then_some(V6 + TUNNEL_LEN)
}

#[inline(always)]
fn bytes<const N: usize>(start: usize, end: usize) -> Option<&'static [u8; N]> {
    if start + N > end {
        return None;
    }
    // SAFETY: the bytes lie within the frame, as just checked. Arrays of bytes have no alignment.
    Some(unsafe { &*(start as *const [u8; N]) })
}

/// The verifier refuses an endless loop, so that a program in which a panic could be reached is
/// never loaded.
#[panic_handler]
const fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
