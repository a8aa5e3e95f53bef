//! Other programs remove, truncate and replace files that are being written.

use super::*;

/// Lets the writer notice and write everything.
fn ticks(writer: &mut RotatingWriter, stats: &mut Plain, seconds: &mut u64) {
    for _ in 0..2 {
        *seconds += 1;
        writer.tick(Instant::now() + Duration::from_secs(*seconds), stats);
    }
}

#[test]
fn a_file_that_was_removed_begins_anew_and_that_is_said() {
    for (name, present, end) in [
        ("a.pcapng", "a.pcapng", "a.pcapng"),
        ("{number}.pcapng", "000001.pcapng.part", "000001.pcapng"),
    ] {
        let mut fixture = Fixture::new();
        let mut writer = fixture.open(name, PcapngFiles::default());
        let mut seconds = 0;
        fixture.write(&mut writer, &[(1, 100, START), (0, 7, START)]);
        if name.contains("number") {
            assert_eq!(fixture.files().len(), 1);
        }
        ticks(&mut writer, &mut fixture.stats, &mut seconds);
        fs::remove_file(fixture.dir.path().join(present)).unwrap();
        fixture.write(&mut writer, &[(1, 100, START), (0, 7, START), (0, 8, START)]);
        ticks(&mut writer, &mut fixture.stats, &mut seconds);
        assert_eq!(fixture.files(), [(present.to_owned(), 3)]);
        let messages = fixture.take_messages();
        let said = format!("/{present} was removed while it was written: a new one begins");
        assert!(matches!(&messages[..], [message] if message.ends_with(&said)), "{messages:?}");
        let written = writer.finish(&mut fixture.stats);
        assert_eq!((written.frames_written, written.frames_lost), (5, 0));
        assert_eq!(fixture.files(), [(end.to_owned(), 3)]);
        assert_eq!(fixture.take_messages(), [""; 0]);
    }
}

#[test]
fn frames_of_the_last_second_of_a_removed_file_are_lost_and_counted() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.dir.path().join("sub")).unwrap();
    let mut writer = fixture.open("sub/a.pcapng", PcapngFiles::default());
    fixture.write(&mut writer, &vec![(1, 100, START); 1000]);
    fs::remove_file(fixture.dir.path().join("sub/a.pcapng")).unwrap();
    fs::remove_dir(fixture.dir.path().join("sub")).unwrap();
    let mut seconds = 0;
    ticks(&mut writer, &mut fixture.stats, &mut seconds);
    let messages = fixture.take_messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert!(message.contains("and a new one cannot be created: No such file"), "{message}");
    fixture.write(&mut writer, &[(1, 100, START)]);
    ticks(&mut writer, &mut fixture.stats, &mut seconds);
    assert_eq!(writer.stats().frames_lost, 1001);
    fs::create_dir(fixture.dir.path().join("sub")).unwrap();
    fixture.write(&mut writer, &[(1, 100, START), (1, 100, START)]);
    ticks(&mut writer, &mut fixture.stats, &mut seconds);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (2, 1001));
    assert_eq!(frames_in(&fixture.dir.path().join("sub/a.pcapng")), 2);
    let messages = fixture.take_messages();
    assert!(matches!(&messages[..], [message] if message.ends_with("a new one begins")));
}

#[test]
fn a_file_that_was_truncated_goes_on_with_a_new_section_and_without_a_hole() {
    let cases = [
        ("a.pcapng", "a.pcapng", "a.pcapng", 0),
        ("a.pcapng", "a.pcapng", "a.pcapng", 100),
        ("{number}.pcapng", "000001.pcapng.part", "000001.pcapng", 0),
    ];
    for (name, present, end, len) in cases {
        let mut fixture = Fixture::new();
        let mut writer = fixture.open(name, PcapngFiles::default());
        let mut seconds = 0;
        fixture.write(&mut writer, &[(1, 100, START), (0, 7, START)]);
        ticks(&mut writer, &mut fixture.stats, &mut seconds);
        let path = fixture.dir.path().join(present);
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
        // Enough to be written before the next tick.
        fixture.write(&mut writer, &vec![(0, 8, START); 300]);
        ticks(&mut writer, &mut fixture.stats, &mut seconds);
        let messages = fixture.take_messages();
        let said = format!("/{present}: a new section begins at its start");
        assert!(
            matches!(&messages[..], [message]
                if message.starts_with("another program has truncated") && message.ends_with(&said)),
            "{messages:?}"
        );
        let written = writer.finish(&mut fixture.stats);
        assert_eq!((written.frames_written, written.frames_lost), (302, 0));
        assert_eq!(fixture.files(), [(end.to_owned(), 300)]);
        assert_eq!(fixture.stats.delivered, 302);
    }
}

#[test]
fn a_file_that_another_has_replaced_is_not_written_over() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("a.pcapng", PcapngFiles::default());
    let mut seconds = 0;
    let [path, other] = ["a.pcapng", "b"].map(|name| fixture.dir.path().join(name));
    fs::write(&other, "precious").unwrap();
    fs::rename(&other, &path).unwrap();
    fixture.write(&mut writer, &[(1, 100, START)]);
    ticks(&mut writer, &mut fixture.stats, &mut seconds);
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.contains("cannot be created: another file is there now")),
        "{messages:?}"
    );
    fs::rename(&path, &other).unwrap();
    // `create` of logrotate makes an empty one.
    fs::write(&path, "").unwrap();
    fixture.write(&mut writer, &[(1, 100, START), (1, 100, START)]);
    ticks(&mut writer, &mut fixture.stats, &mut seconds);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!(written.frames_written + written.frames_lost, 3);
    assert_eq!(frames_in(&path), written.frames_written);
    assert!(written.frames_written >= 2);
    assert_eq!(fs::read(&other).unwrap(), b"precious");
}
