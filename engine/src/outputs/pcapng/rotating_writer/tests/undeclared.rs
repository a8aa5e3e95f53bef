//! Undeclared senders take nothing from declared sessions.

use super::*;

#[test]
fn whoever_sends_frames_of_many_sessions_does_not_get_a_file_for_each_of_them() {
    let mut fixture = Fixture::new();
    fixture.stats.now_ns = Some(START);
    let mut writer = fixture.open("{session}-{vni}.pcapng", PcapngFiles::default());
    writer.files.limit = 8;
    for round in 0..5 {
        let frames: Vec<_> = (0..4).map(|vni| (0, vni, START + round)).collect();
        fixture.write(&mut writer, &frames);
        // Files of declared sessions can still be opened.
        let frames: Vec<_> = (0..6).map(|vni| (1, vni, START + round)).collect();
        fixture.write(&mut writer, &frames);
        writer.tick(Instant::now(), &mut fixture.stats);
    }
    let messages = fixture.take_messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert!(
        message.starts_with("undeclared senders have reached their limit of open files (2):"),
        "{message}"
    );
    // Idle files are replaced, and the end of the limit is reported after a quiet time.
    fixture.write(&mut writer, &[(0, 9, START + 11 * SECOND)]);
    let now = Instant::now();
    for seconds in [0, 5, 11] {
        writer.tick(now + Duration::from_secs(seconds), &mut fixture.stats);
    }
    assert_eq!(
        fixture.take_messages(),
        ["further files of undeclared senders can be opened again"]
    );
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (4 * 5 + 6 * 5 + 1, 0));
    let files = fixture.files();
    assert_eq!(files.len(), 2 + 6 + 1 + 1);
    assert!(files.contains(&("default-any.pcapng".to_owned(), 2 * 5)), "{files:?}");
}

#[test]
fn declared_sessions_can_open_their_files_while_undeclared_senders_have_all_of_theirs() {
    let mut fixture = Fixture::new();
    fixture.stats.now_ns = Some(START);
    let mut writer = fixture.open("{session}-{vni}.pcapng", PcapngFiles::default());
    writer.files.limit = 4;
    let frames: Vec<_> = (0..9).map(|vni| (0, vni, START)).collect();
    fixture.write(&mut writer, &frames);
    let frames: Vec<_> = (0..4).map(|vni| (1, vni, START)).collect();
    fixture.write(&mut writer, &frames);
    assert_eq!(writer.finish(&mut fixture.stats).frames_lost, 0);
    assert_eq!(fixture.files().len(), 1 + 1 + 4);
}

#[test]
fn undeclared_senders_cause_so_many_files_in_an_hour_and_share_one_afterwards() {
    let mut fixture = Fixture::new();
    fixture.stats.now_ns = Some(START);
    let files = PcapngFiles { undeclared_files_per_hour: 3, ..PcapngFiles::default() };
    let mut writer = fixture.open("{session}-{number}.pcapng", files);
    for round in 0..2 {
        let frames: Vec<_> = (0..10).map(|vni| (0, vni, START + round)).collect();
        fixture.write(&mut writer, &frames);
    }
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.starts_with("undeclared senders have caused 3 files within an hour")),
        "{messages:?}"
    );
    writer.tick(Instant::now() + Duration::from_secs(3600), &mut fixture.stats);
    fixture.write(&mut writer, &[(0, 11, START + 2)]);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (21, 0));
    let files = fixture.files();
    assert_eq!(files.len(), 3 + 1 + 1, "{files:?}");
    assert!(files.contains(&("default-000004.pcapng".to_owned(), 14)), "{files:?}");
}

#[test]
fn no_file_of_a_declared_session_goes_because_of_undeclared_senders() {
    let mut fixture = Fixture::new();
    let files = PcapngFiles { rotate_mib: Some(1), keep_files: Some(5), ..PcapngFiles::default() };
    let mut writer = fixture.open("{session}-{number}.pcapng", files);
    writer.files.limit = 8;
    fixture.write(&mut writer, &vec![(1, 100, START); 2000]);
    // A file for each of 200 invented pairs.
    let frames: Vec<_> = (0..200).map(|vni| (0, vni, START + 1)).collect();
    fixture.write(&mut writer, &frames);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (2200, 0));
    let files = fixture.files();
    let of_web = files.iter().filter(|(name, _)| name.starts_with("web-"));
    assert_eq!(of_web.map(|(_, frames)| frames).sum::<u64>(), 2000, "{files:?}");
    assert_eq!(files.len(), 5);
    assert_eq!((written.files_deleted, written.undeclared_files_deleted), (198, 198));
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.contains("which undeclared senders had caused, was deleted")),
        "{messages:?}"
    );
}

#[test]
fn the_sources_of_a_session_that_names_none_are_as_many_as_whoever_sends_them_likes() {
    let fixture = Fixture::new();
    let is_undeclared = |name: &str| {
        let mut writer = fixture.open(name, PcapngFiles::default());
        let (source, link) = ("10.0.1.5".parse().unwrap(), crate::decap::Link::Ethernet);
        let frame = |session| FrameKey { session, source, vni: 100, direction: None, link };
        [0, 1].map(|session| writer.factory.is_undeclared(&frame(session)))
    };
    assert_eq!(is_undeclared("{session}.pcapng"), [true, false]);
    assert_eq!(is_undeclared("{source}.pcapng"), [true, true]);
}
