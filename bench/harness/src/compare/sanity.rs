//! Properties that every run must have on every machine, however slow: no frame is invented, and
//! none is damaged.

use super::run_plan::Measure;
use super::single_run::RunRecord;

/// Returns one sentence for each violated property.
pub(crate) fn violations(runs: &[RunRecord]) -> Vec<String> {
    runs.iter()
        .flat_map(|run| {
            of_run(run).into_iter().map(|what| format!("{}, {}: {what}", run.row, run.cell))
        })
        .collect()
}

fn of_run(run: &RunRecord) -> Vec<String> {
    let mut found = Vec::new();
    if run.delivered_in_time() == 0 {
        found.push(format!("no frame of {} was delivered", run.sent.frames));
    }
    if run.delivered() > run.sent.frames {
        found.push(format!(
            "{} frames were delivered, but only {} sent",
            run.delivered(),
            run.sent.frames
        ));
    }
    if run.drained.damaged > 0 {
        found.push(format!("{} frames were damaged", run.drained.damaged));
    }
    if run.cell.measure == Measure::Latency && run.latency().is_none() {
        found.push("the latency of no frame was measured".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::single_run::made_up;
    use crate::mark_protocol::Latency;

    #[test]
    fn a_sane_run_raises_no_complaint() {
        assert!(
            violations(&[made_up::run("x", 1, 1000, 1000), made_up::run("y", 1, 1000, 1)])
                .is_empty()
        );
    }

    #[test]
    fn what_cannot_be_is_named_with_its_row() {
        let silent = made_up::run("silent", 1, 1000, 0);
        let mut inventive = made_up::run("inventive", 1, 1000, 1000);
        inventive.drained.frames += 1;
        let mut damaged = made_up::run("careless", 1, 1000, 900);
        damaged.drained.damaged = 3;
        let cell = "throughput, layout A, 64 bytes inner, offered full";
        assert_eq!(
            violations(&[silent, inventive, damaged]),
            [
                format!("silent, {cell}: no frame of 900 was delivered"),
                format!("inventive, {cell}: 1001 frames were delivered, but only 1000 sent"),
                format!("careless, {cell}: 3 frames were damaged"),
            ]
        );
    }

    #[test]
    fn a_latency_run_has_a_latency() {
        let mut run = made_up::run("x", 1, 1000, 1000);
        run.cell.measure = Measure::Latency;
        assert_eq!(violations(std::slice::from_ref(&run)).len(), 1);
        run.at_end.latency = Some(Latency { count: 10, ..Latency::default() });
        assert!(violations(&[run]).is_empty());
    }
}
