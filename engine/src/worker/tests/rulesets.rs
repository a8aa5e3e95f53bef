//! Filters, packet lengths, routes, and changes of the ruleset.

use super::*;
use crate::config::{Action, Direction, Filter, PortRange, Rule, UDP};

/// Returns a filter that rejects UDP from port 1, which [`mirrored`] makes, or accepts everything.
fn filter(rejects: bool) -> Filter {
    let rule = |direction, number, action, port| Rule {
        direction,
        number,
        action,
        protocol: Some(UDP),
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        source_ports: Some(PortRange { first: port, last: port }),
        destination_ports: None,
    };
    let port = if rejects { 1 } else { 9 };
    let rules = [Direction::Ingress, Direction::Egress].map(|direction| {
        [rule(direction, 1, Action::Reject, port), rule(direction, 2, Action::Accept, 1)]
    });
    Filter {
        name: "filter".to_owned(),
        rules: rules.into_iter().flatten().collect(),
        ..Filter::default()
    }
}

/// Returns the same as [`config_of`], with a filter for the session.
fn filtered(outputs: usize, rejects: bool) -> Config {
    let mut config = config_of(outputs, UnknownSessions::Pass);
    config.filters.push(filter(rejects));
    config.sessions[0].filter = Some("filter".to_owned());
    config
}

fn frames(count: u16) -> Vec<Vec<u8>> {
    (0..count).map(|number| mirrored(1, 7, &number.to_be_bytes()).0).collect()
}

impl WorkerHarness {
    /// Delivers frames and has them processed.
    fn receive(&mut self, count: u16) {
        self.worker.refill();
        for frame in frames(count) {
            self.worker.backend.nic.deliver(&frame, Some(ARRIVAL_NS)).unwrap();
        }
        while self.worker.receive() > 0 {}
    }

    /// Changes the ruleset, with a ring to each new output; `subscriptions` has those of all
    /// outputs that ever were.
    fn change(
        &mut self,
        generation: u32,
        config: &Config,
        subscriptions: &[Subscription<'_>],
        new: &[(usize, u32)],
    ) {
        config.validate().unwrap_or_else(|error| panic!("{error}"));
        let ruleset = Ruleset::new(generation, config, &mut self.directory, subscriptions);
        let mut outputs = Vec::new();
        for &(id, len) in new {
            let (writer, consumer) = ring_of(self.worker.queue.umem(), len);
            outputs.push((id, writer));
            self.consumers.push(consumer);
        }
        let control = self.worker.control.clone();
        control.post(RulesetChange { ruleset: Arc::new(ruleset), outputs });
        assert!(!control.is_acked());
        let request = control.take_requests(self.worker.acked).expect("announced");
        self.worker.handle(request);
        assert!(control.is_acked());
    }
}

#[test]
fn what_a_filter_rejects_is_counted_for_its_session_and_goes_nowhere() {
    let harness = harness_of(&[128], &filtered(1, true), WhenFull::Drop);
    let other = mirrored(2, 9, b"another session").0;
    let (mut consumers, counters) = harness.run(frames(100).into_iter().chain([other]));
    assert_eq!(counters.sessions[1].drops.get(DropReason::RuleRejected), 100);
    assert_eq!(
        (counters.sessions[1].delivered.frames, counters.sessions[1].direction_unknown),
        (0, 100)
    );
    assert!(counters.sessions[1].adds_up() && counters.total.adds_up());
    assert_eq!(counters.outputs[0][1], crate::counters::OutputCounters::default());
    assert_eq!(read_all(&mut consumers[0]).len(), 1);
}

#[test]
fn a_frame_is_cut_to_the_packet_length_and_keeps_its_original_length() {
    let mut config = config_of(1, UnknownSessions::Pass);
    config.sessions[0].packet_length = Some(50);
    let harness = harness_of(&[128], &config, WhenFull::Drop);
    let (long, inner) = mirrored(1, 7, &[5; 20]);
    let (short, _) = mirrored(1, 7, &[5; 8]);
    let (mut consumers, counters) = harness.run([long, short]);
    let Next::Batch(batch) = consumers[0].next(Duration::ZERO) else { panic!("no frames") };
    let seen: Vec<_> = batch
        .iter()
        .map(|frame| (frame.captured_len(), frame.original_len(), frame.is_truncated()))
        .collect();
    assert_eq!(seen, [(50, 62, true), (50, 50, false)]);
    assert_eq!(
        batch.iter().next().map(|frame| frame.bytes().into_owned()),
        Some(inner[..50].to_vec())
    );
    let session = &counters.sessions[1];
    assert_eq!((session.truncated, session.received_truncated), (1, 0));
    assert_eq!((session.received.bytes, session.delivered.bytes), (112, 100));
    assert_eq!(counters.outputs[0][1].delivered.bytes, 100);
}

#[test]
fn the_direction_travels_with_the_frame() {
    let mut config = filtered(1, false);
    config.sessions[0].source = None;
    config.sessions[0].vni = 7;
    let harness = harness_of(&[128], &config, WhenFull::Drop);
    let to = |host: [u8; 4]| {
        let (mut outer, _) = mirrored(1, 7, b"x");
        outer[26..30].copy_from_slice(&host);
        outer
    };
    // The inner packets go from 192.168.0.1 to 192.168.0.2.
    let (mut consumers, counters) =
        harness.run([to([192, 168, 0, 1]), to([192, 168, 0, 2]), to([192, 168, 0, 3])]);
    let Next::Batch(batch) = consumers[0].next(Duration::ZERO) else { panic!("no frames") };
    let directions: Vec<_> = batch.iter().map(|frame| frame.direction()).collect();
    assert_eq!(directions, [Some(Direction::Egress), Some(Direction::Ingress), None]);
    assert_eq!(counters.sessions[1].direction_unknown, 1);
}

#[test]
fn a_session_goes_to_the_outputs_that_it_names() {
    let mut config = config_of(3, UnknownSessions::Pass);
    config.sessions[0].outputs = Some(vec!["1".to_owned()]);
    let harness = harness_of(&[64, 64, 64], &config, WhenFull::Drop);
    let other = |_| mirrored(2, 9, b"everywhere").0;
    let (mut consumers, counters) = harness.run(frames(100).into_iter().chain((0..10).map(other)));
    let of = |output: usize, session: usize| {
        let output = counters.outputs[output][session];
        (output.delivered.frames, output.dropped)
    };
    assert_eq!([of(0, 1), of(1, 1), of(2, 1)], [(0, 0), (64, 36), (0, 0)]);
    assert_eq!([of(0, 0), of(1, 0), of(2, 0)], [(10, 0), (0, 10), (10, 0)]);
    assert_eq!(counters.sessions[1].drops.get(DropReason::OutputFull), 36);
    assert_eq!(counters.total.delivered.frames, 64 + 10);
    let read: Vec<_> = consumers.iter_mut().map(|consumer| read_all(consumer).len()).collect();
    assert_eq!(read, [10, 64, 10]);
}

#[test]
fn a_ruleset_changes_between_two_batches_and_every_count_goes_on() {
    let mut harness = harness_of(&[256, 256], &filtered(2, false), WhenFull::Drop);
    harness.receive(60);
    harness.change(
        1,
        &filtered(2, true),
        &[Subscription::Named("0"), Subscription::Named("1")],
        &[],
    );
    harness.receive(60);
    // From here on only output 1, and one more session.
    let mut third = filtered(2, false);
    third.sessions[0].outputs = Some(vec!["1".to_owned()]);
    third.sessions.push(Session { name: "new".into(), vni: 99, ..Session::default() });
    harness.change(2, &third, &[Subscription::Named("0"), Subscription::Named("1")], &[]);
    harness.receive(60);
    harness.change(
        3,
        &filtered(2, false),
        &[Subscription::Named("0"), Subscription::Named("1")],
        &[],
    );
    harness.receive(10);
    let (mut consumers, counters) = harness.run([]);
    let session = &counters.sessions[1];
    assert_eq!((session.received.frames, session.delivered.frames), (190, 130));
    assert_eq!(session.drops.get(DropReason::RuleRejected), 60);
    assert_eq!(counters.sessions.len(), 3);
    let delivered = [0, 1].map(|output: usize| counters.outputs[output][1].delivered.frames);
    assert_eq!(delivered, [70, 130]);
    assert_eq!(counters.pushed, [70, 130]);
    let read: Vec<_> = consumers.iter_mut().map(|consumer| read_all(consumer).len()).collect();
    assert_eq!(read, [70, 130]);
}

#[test]
fn an_output_ends_when_it_is_taken_away_and_another_begins() {
    let mut harness = harness_of(&[256, 256], &config_of(2, UnknownSessions::Pass), WhenFull::Drop);
    harness.receive(50);
    let mut config = config_of(3, UnknownSessions::Pass);
    config.outputs.remove(0);
    harness.change(
        1,
        &config,
        &[Subscription::Gone, Subscription::Named("1"), Subscription::Named("2")],
        &[(2, 256)],
    );
    harness.receive(30);
    let mut consumers = std::mem::take(&mut harness.consumers);
    assert_eq!(
        read_all(&mut consumers[0]).len(),
        50,
        "what was in the ring can be read, then it is closed"
    );
    harness.worker.refill();
    harness.worker.publish_counters(true);
    let counters = harness.counters_cell.read();
    let delivered: Vec<_> =
        counters.outputs.iter().map(|output| output[1].delivered.frames).collect();
    assert_eq!((delivered, counters.pushed), (vec![50, 80, 30], vec![50, 80, 30]));
    assert_eq!(counters.sessions[1].delivered.frames, 80);
    harness.receive(5);
    let (_, counters) = harness.run([]);
    let delivered: Vec<_> =
        counters.outputs.iter().map(|output| output[1].delivered.frames).collect();
    assert_eq!(delivered, [50, 85, 35], "the counts of the one that is gone stay");
    let read: Vec<_> = consumers[1..].iter_mut().map(|consumer| read_all(consumer).len()).collect();
    assert_eq!(read, [85, 35]);
}

#[test]
fn an_output_that_a_worker_did_not_live_to_know_ends() {
    let harness = harness_of(&[128], &filtered(1, false), WhenFull::Drop);
    let control = harness.worker.control.clone();
    let (writer, mut consumer) = ring_of(harness.worker.queue.umem(), 64);
    let ruleset = Arc::new(Ruleset::new(
        1,
        &filtered(2, false),
        &mut harness.directory.clone(),
        &[Subscription::Gone, Subscription::Named("new")],
    ));
    control.post(RulesetChange { ruleset, outputs: vec![(1, writer)] });
    assert!(matches!(consumer.next(Duration::ZERO), Next::Idle) && !control.is_settled());
    drop(harness);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    assert!(!control.is_acked() && control.is_settled());
}
