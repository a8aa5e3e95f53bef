//! The frames of the benches.

use vxtap::config;
use vxtap_bench::{MirrorSession, Profile, Traffic};

/// Returns mirrored traffic, `count` outer frames with inner frames of `inner_len` bytes from
/// `sessions` sessions in random order, and the sessions' declarations.
pub(crate) fn mirrored(
    count: usize,
    inner_len: u16,
    sessions: u32,
) -> (Vec<Vec<u8>>, Vec<config::Session>) {
    let profile = Profile {
        sessions: MirrorSession::numbered(sessions, "10.0.1.1".parse().expect("an address"), 100),
        // More flows cost time to prepare and change nothing: the measured code keeps no state of
        // flows.
        flows_per_session: if sessions > 100 { 1 } else { 16 },
        sizes: inner_len.to_string().parse().expect("a length"),
        ipv6_percent: 0,
        ..Profile::default()
    };
    let mut traffic = Traffic::new(&profile).expect("a valid profile");
    let frames = (0..count).map(|_| {
        let mut frame = Vec::new();
        traffic.next_frame(&mut frame).expect("traffic without an end");
        frame
    });
    let declare = |(number, session): (usize, &MirrorSession)| config::Session {
        name: format!("s{number}"),
        vni: session.vni,
        source: Some(session.source),
        ..config::Session::default()
    };
    (frames.collect(), profile.sessions.iter().enumerate().map(declare).collect())
}
