//! Claim: `vxgen run` refuses an impossible request in one sentence, with an exit code that tells
//! wrong usage from a failure.

use std::process::Command;

/// Runs `vxgen ARGUMENTS` and returns its exit code and standard error.
fn vxgen(arguments: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vxgen")).args(arguments.split(' ')).output();
    let output = output.expect("vxgen starts");
    let text = String::from_utf8(output.stderr).expect("it speaks UTF-8");
    (output.status.code(), text.trim_end().to_owned())
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    let (code, error) = vxgen("run --interface no-such-if0 --via live --count 1");
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        "vxgen: there is no interface no-such-if0 in this network namespace: `ip link` lists them"
    );
}

#[test]
fn options_of_live_frames_need_live_frames() {
    for option in ["--proof-every 0", "--table 5", "--batch 8"] {
        let (code, error) = vxgen(&format!("run --interface no-such-if0 --count 1 {option}"));
        assert_eq!(code, Some(2), "{error}");
        let name = option.split(' ').next().expect("a word");
        assert!(error.starts_with(&format!("error: {name} is for --via live")), "{error}");
    }
}

#[test]
fn what_no_interface_could_send_is_wrong_usage() {
    for (arguments, expected) in [
        ("--table 0", "a table of 0 frames: give 1 to 16384"),
        ("--batch 257", "batches of 257 frames: give 1 to 256"),
        ("--sizes 9000", "inner frame length 9000: give 1 to 8965 bytes"),
        (
            "--sizes 8000",
            "a frame of 8050 bytes is too long for live frames, which have 3200 at most: give a smaller size or --via packet",
        ),
        (
            "--proof-every 0 --outer-source fd00::1",
            "the outer UDP checksum over IPv6 covers the whole frame, of which only the headers are written: give \
             --proof-every 1 or --zero-checksum-v6",
        ),
    ] {
        let (code, error) =
            vxgen(&format!("run --interface no-such-if0 --via live --count 1 {arguments}"));
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[cfg(not(feature = "af-xdp"))]
#[test]
fn a_build_without_af_xdp_says_how_to_get_it() {
    let (code, error) = vxgen("run --interface no-such-if0 --via af-xdp --count 1");
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        "vxgen: this vxgen was built without AF_XDP transmit: build it with `cargo build --release -p vxtap-bench \
         --features af-xdp` (it takes clang and libelf), or use --via live"
    );
}

#[cfg(feature = "af-xdp")]
#[test]
fn an_interface_that_does_not_exist_is_named_by_af_xdp_too() {
    let (code, error) = vxgen("run --interface no-such-if0 --via af-xdp --count 1");
    assert_eq!(code, Some(1));
    assert!(error.starts_with("vxgen: there is no Ethernet-like interface no-such-if0"), "{error}");
}
