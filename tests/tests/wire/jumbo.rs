//! Packets of 9001 bytes, the largest of EC2, pass through every output.

use vxtap::Engine;
use vxtap::capture_file::CaptureFile;
use vxtap::config::{CaptureMode, Output, OutputKind};
use vxtap::ring::Encapsulation;
use vxtap_tests::{NetNs, Veth, VethOptions, privileged};

use super::frames::{Case, Inside, Mirrored};
use super::support::{assert_adds_up, config, run};

const MTU: u32 = 9001;
/// Length of the inner frame: the MTU without IPv4, UDP and VXLAN header.
const INNER_LEN: usize = MTU as usize - 20 - 8 - 8;

fn through_every_output(mode: CaptureMode, chunk_size: u32, segments: usize) {
    let options = VethOptions { queues: 2, mtu: MTU };
    let veth = Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), options).unwrap();
    let case = Case {
        encapsulation: Encapsulation::Vxlan,
        outer_is_v6: false,
        vlans: 0,
        inside: Inside::V4,
        len: INNER_LEN,
    };
    let sent: Vec<_> =
        (0..200).map(|number| Mirrored::new(case, number, veth.receiver.mac)).collect();
    assert_eq!(sent[0].frame.len(), 14 + MTU as usize);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jumbo.pcapng");
    let mut config = config(&[veth.receiver.interface]);
    config.capture.mode = mode;
    config.memory.chunk_size = Some(chunk_size);
    config.outputs.push(Output::new("file", OutputKind::pcapng(&path)));
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let frames = sent.iter().map(|mirrored| &mirrored.frame[..]);
    let (got, report) = run(engine, &veth.sender, frames, sent.len());
    assert_adds_up(&report);
    assert!(
        got.iter().all(|got| got.segments == segments),
        "{:?}",
        got.iter().map(|got| got.segments).max()
    );
    let mut inner: Vec<_> = sent.iter().map(|mirrored| mirrored.inner.clone()).collect();
    inner.sort();
    let mut ours: Vec<_> = got.into_iter().map(|got| got.bytes).collect();
    ours.sort();
    assert!(ours == inner, "{} frames to the consumer", ours.len());
    let mut file = CaptureFile::open(&path).unwrap();
    let mut written = Vec::new();
    while let Some(record) = file.next().unwrap() {
        assert_eq!(record.original_len as usize, INNER_LEN);
        written.push(record.captured.to_vec());
    }
    written.sort();
    assert!(written == inner, "{} frames in the file", written.len());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn in_chunks_of_4096_bytes() {
    privileged();
    through_every_output(CaptureMode::Native, 4096, 3);
    through_every_output(CaptureMode::Generic, 4096, 3);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn in_chunks_of_2048_bytes() {
    privileged();
    through_every_output(CaptureMode::Native, 2048, 6);
}
