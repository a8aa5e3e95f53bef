use super::*;
use crate::config::Session;
use crate::decap::Link;

/// 2026-11-27 21:05:09 UTC, as `date -u -d @1795813509` says.
const TIME_NS: u64 = 1_795_813_509_000_000_001;

fn names(path: &str) -> FileNames {
    let path = Path::new(path);
    FileNames::new(path, FileName::of(path).unwrap(), 3)
}

fn frame(session: u32, vni: u32) -> FrameKey {
    let source = "2001:db8::1".parse().unwrap();
    FrameKey { session, source, vni, direction: None, link: Link::Ethernet }
}

fn sessions() -> Directory {
    let mut directory = Directory::default();
    let names = ["web", "../tenant B"];
    directory.assign(&names.map(|name| Session {
        name: name.into(),
        vni: 7,
        ..Session::default()
    }));
    directory
}

fn render(path: &str, frame: &FrameKey) -> String {
    let names = names(path);
    let is_undeclared = frame.session == 0;
    let name = names.render(&names.key(frame, is_undeclared), TIME_NS, 42, &sessions());
    assert_eq!(
        names.matches(&name).map(|it| it.number),
        Some(if path.contains("number") { 42 } else { 0 }),
        "{name:?}"
    );
    let again = repeated(&name, 2);
    assert!(names.matches(&again).is_some(), "{again:?}");
    name.into_string().unwrap()
}

#[test]
fn a_name_says_what_its_fields_ask_and_is_known_again() {
    let web = frame(1, 7);
    assert_eq!(render("d/{session}-%Y%m%dT%H%M%SZ.pcapng", &web), "web-20261127T210509Z.pcapng");
    assert_eq!(render("{number}.%j.{member}.pcapng", &web), "000042.331.3.pcapng");
    assert_eq!(render("%F_%T_%y_%s.pcapng", &web), "2026-11-27_21:05:09_26_1795813509.pcapng");
    assert_eq!(render("{vni}@{source}%%.pcapng", &web), "7@2001_db8__1%.pcapng");
    assert_eq!(render("{session}.pcapng", &frame(2, 7)), "_._tenant_B.pcapng");
    assert_eq!(render("{session}", &frame(0, 9)), "vni-9@2001_db8__1");
}

#[test]
fn a_frame_belongs_to_the_file_that_the_name_tells_apart() {
    let key = |path: &str, session, vni| names(path).key(&frame(session, vni), session == 0);
    assert_eq!(key("%S", 1, 7), key("%S", 2, 8));
    assert_eq!(key("{session}", 1, 7), key("{session}", 1, 8));
    assert_ne!(key("{session}", 1, 7), key("{session}", 2, 7));
    assert_ne!(
        key("{session}", 0, 7),
        key("{session}", 0, 8),
        "undeclared pairs are sessions of their own"
    );
    assert_ne!(key("{vni}", 1, 7), key("{vni}", 1, 8));
}

#[test]
fn files_of_others_do_not_match() {
    let all = names("{session}-%Y%m.pcapng");
    for other in [
        "web-2026.pcapng",
        "web-202611.pcap",
        "202611.pcapng",
        "a/b-202611.pcapng",
        "web-20261x.pcapng",
        "",
    ] {
        assert_eq!(all.matches(OsStr::new(other)), None, "{other}");
    }
    assert_eq!(names("a{member}").matches(OsStr::new("a4")), None);
    assert_eq!(names("{number}").matches(OsStr::new("00042")), None);
    let match_of = |name: &str| names("{number}").matches(OsStr::new(name)).map(|it| it.number);
    assert_eq!(match_of("1000042"), Some(1_000_042));
}

#[test]
fn no_undeclared_sender_causes_a_name_that_passes_for_one_of_a_declared_session() {
    let mut directory = sessions();
    let declared =
        ["vni-9@10.0.1.5", "vni-9_10.0.1.5", "default", "a.part", "b.zst", "c-undeclared"];
    directory.assign(&declared.map(|name| Session { name: name.into(), ..Session::default() }));
    for path in [
        "{session}.pcapng",
        "{session}",
        "{session}-{number}.pcapng",
        "{number}{session}",
        "{vni}.pcapng",
        "{source}-%F.pcapng",
        "{source}{session}",
        "{vni}{session}{source}.pcapng",
    ] {
        let names = names(path);
        let is_undeclared = |key: FileKey| {
            let name = names.render(&key, TIME_NS, 42, &directory);
            let [once, again] = [&name, &repeated(&name, 2)].map(|name| {
                let found = names.matches(name).unwrap_or_else(|| panic!("{name:?}"));
                assert!(!name.as_encoded_bytes().ends_with(PART_SUFFIX), "{name:?}");
                assert!(!name.as_encoded_bytes().ends_with(ZST_SUFFIX), "{name:?}");
                found.is_undeclared
            });
            assert_eq!(once, again, "{name:?}");
            once
        };
        assert!(is_undeclared(names.key(&frame(0, 9), true)), "{path}");
        assert!(is_undeclared(names.shared_key()), "{path}");
        // Fields without text between them can be read in several ways.
        let declared = if path.contains("}{") { 1..=2 } else { 1..=8 };
        for session in declared {
            assert!(!is_undeclared(names.key(&frame(session, 9), false)), "{path} {session}");
        }
        if path.contains("source") {
            assert!(is_undeclared(names.key(&frame(1, 9), true)), "{path}");
        }
    }
}
