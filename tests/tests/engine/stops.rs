//! The account is exact when an engine stops under load.

use std::thread;
use std::time::Duration;

use vxtap_tests::{Veth, capture, privileged, repeats};

use super::load::Load;
use super::support::{OUTPUT, assert_adds_up, config, count, open};

/// Datagrams per second of the load.
const PACE: u64 = 150_000;

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn stops_again_and_again_under_load_leave_an_exact_account_with_and_without_gro() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let load = Load::start(&veth.sender, PACE);
    for number in 0..repeats(12, 200) {
        let gro = if number % 2 == 0 { "on" } else { "off" };
        let mut ethtool = veth.receiver.netns.command("ethtool");
        capture(ethtool.args(["-K", veth.receiver.interface, "gro", gro])).unwrap();
        stop_once(&veth, number, gro);
    }
    load.stop();
}

/// Starts an engine, lets it run for some time, and stops it.
fn stop_once(veth: &Veth, number: u32, gro: &str) {
    let mut engine = open(&veth.receiver, config(&veth.receiver));
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let reader = thread::spawn(|| count(consumer));
    engine.start().unwrap();
    // Another phase of the load for each stop.
    thread::sleep(Duration::from_millis(60 + u64::from(number * 7 % 50)));
    let report = engine.stop();
    assert_adds_up(&report);
    let steering = report.steering();
    assert!(steering.redirected > 0, "stop {number}: nothing came\n{report}");
    assert_eq!(steering.redirect_err, 0, "stop {number}, GRO {gro}: refused at a stop\n{report}");
    assert_eq!(reader.join().unwrap(), report.total().delivered.frames);
}
