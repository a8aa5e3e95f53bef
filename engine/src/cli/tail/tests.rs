use vxtap::outputs::pcapng::{Blocks as BlockEncoder, InterfaceDescription, Statistics};

use std::fs::File;

use super::*;

/// An ARP request, and the UDP packet 10.0.0.1:1000 > 10.0.0.2:53.
fn frames() -> [Vec<u8>; 2] {
    let arp = [vec![0; 12], vec![8, 6], vec![0; 28]].concat();
    let ip = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2].to_vec();
    let udp = [&1000_u16.to_be_bytes()[..], &53_u16.to_be_bytes(), &[0, 8, 0, 0]].concat();
    [arp, [vec![0; 12], vec![8, 0], ip, udp].concat()]
}

/// A stream of the frames, with one lost.
fn stream() -> Vec<u8> {
    let mut blocks = BlockEncoder::with_capacity(0);
    blocks.section_header("test");
    let interface = blocks.interface(InterfaceDescription { name: "web", description: "" });
    for (time_ns, frame) in (1_700_000_000_000_000_000..).zip(frames()) {
        let direction = Some(vxtap::config::Direction::Egress);
        blocks.packet(interface, time_ns, 99, direction, std::iter::once(&frame[..]));
    }
    let statistics =
        Statistics { start_ns: 0, end_ns: 0, received: 3, accepted: 3, dropped: 1, delivered: 2 };
    blocks.statistics(interface, &statistics);
    blocks.bytes().to_vec()
}

/// Returns the output and the summary for a stream that arrives in pieces of this length.
fn shown(bytes: &[u8], piece: usize, format: TailFormat, count: Option<u64>) -> (Vec<u8>, String) {
    let (mut blocks, mut show, mut out) =
        (BlockReader::default(), FrameWriter::new(format, count), Vec::new());
    for piece in bytes.chunks(piece) {
        blocks.fill(piece).unwrap();
        while let Some((raw, content)) = blocks.next().unwrap() {
            show.block(raw, content);
        }
    }
    assert!(!blocks.has_partial_block());
    show.output().flush(&mut out).unwrap();
    (out, show.output().summary())
}

#[test]
fn each_frame_is_a_line_however_the_bytes_come() {
    let expected = "2023-11-14T22:13:20.000000Z web egress ARP, 99 bytes (42 here)\n\
                    2023-11-14T22:13:20.000000Z web egress 10.0.0.1:1000 > 10.0.0.2:53 udp, 99 bytes (42 here)\n";
    for piece in [1, 7, 10_000] {
        let (text, summary) = shown(&stream(), piece, TailFormat::Text, None);
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(summary, "2 frames, 1 lost on the way here");
    }
}

#[test]
fn a_capture_has_the_frames_that_were_asked_for() {
    let bytes = stream();
    let (all, _) = shown(&bytes, 100, TailFormat::Pcapng, None);
    assert_eq!(all, bytes, "as it comes");
    for format in [TailFormat::Pcapng, TailFormat::Pcap] {
        let (capture, summary) = shown(&bytes, 100, format, Some(1));
        let mut file =
            vxtap::capture_file::CaptureFile::from_reader("capture", io::Cursor::new(capture))
                .unwrap();
        let frame = file.next().unwrap().unwrap();
        assert_eq!((frame.captured, frame.original_len), (&frames()[0][..], 99));
        assert_eq!(frame.timestamp_ns, 1_700_000_000_000_000_000);
        assert!(file.next().unwrap().is_none());
        assert_eq!(summary, "1 frame, 1 lost on the way here");
    }
}

#[test]
fn what_is_no_stream_and_an_end_that_comes_too_early_are_errors() {
    let stop_requested = AtomicBool::new(false);
    let outcome = |bytes: &[u8]| {
        let (mut engine, stream) = UnixStream::pair().unwrap();
        let bytes = bytes.to_vec();
        // The other side may have closed the connection.
        thread::spawn(move || drop(engine.write_all(&bytes)));
        let mut show = FrameWriter::new(TailFormat::Text, None);
        let copied =
            copy(&stream, &mut show, &mut File::create("/dev/null").unwrap(), &stop_requested)
                .map_err(|error| error.to_string());
        (copied, show.output().summary())
    };
    let unknown = "the engine did not report how many were lost";
    assert_eq!(outcome(&vec![b'x'; 2 << 20]).0, Err("the stream is not pcapng".to_owned()));
    let bytes = stream();
    assert_eq!(
        outcome(&bytes[..bytes.len() - 1]),
        (
            Err("the engine ended in the middle of a frame".to_owned()),
            format!("2 frames; {unknown}")
        )
    );
    assert_eq!(outcome(&[]), (Ok(()), format!("0 frames; {unknown}")));
}
