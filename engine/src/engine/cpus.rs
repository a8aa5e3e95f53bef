//! Chooses the CPUs that workers are pinned to.

use core_affinity::CoreId;

use super::EngineError;
use crate::config::Cpus;

/// Returns a CPU for each of `worker_count` workers, in the order of the queues. [`Cpus::Auto`]
/// takes the CPUs that this process may use, in turn, without CPU 0 if there are enough others,
/// since the system's own work gathers there.
///
/// # Errors
///
/// [`EngineError::NoSuchCpu`] if the process may not use a listed CPU, [`EngineError::TooFewCpus`]
/// if the list has fewer CPUs than there are queues.
pub(super) fn choose(cpus: &Cpus, worker_count: usize) -> Result<Vec<usize>, EngineError> {
    let available: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    match cpus {
        Cpus::Auto => Ok(automatic(&available, worker_count)),
        Cpus::List(list) if list.len() < worker_count => {
            Err(EngineError::TooFewCpus { cpu_count: list.len(), queue_count: worker_count })
        }
        Cpus::List(list) => match list.iter().find(|cpu| !available.contains(cpu)) {
            Some(&cpu) => Err(EngineError::NoSuchCpu { cpu, available }),
            None => Ok(list[..worker_count].to_vec()),
        },
    }
}

fn automatic(available: &[usize], worker_count: usize) -> Vec<usize> {
    let others: Vec<usize> = available.iter().copied().filter(|&cpu| cpu != 0).collect();
    let candidates = if others.len() >= worker_count { &others } else { available };
    candidates.iter().copied().cycle().take(worker_count).collect()
}

/// Pins the calling thread to `cpu`; returns `false` if the system refuses.
pub(super) fn pin(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_0_is_left_to_the_system_when_there_are_enough_others() {
        assert_eq!(automatic(&[0, 1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(automatic(&[0, 1, 2, 3], 4), [0, 1, 2, 3]);
        assert_eq!(automatic(&[0, 1], 3), [0, 1, 0]);
        assert_eq!(automatic(&[4, 6], 2), [4, 6]);
        assert_eq!(automatic(&[], 2), [0; 0]);
    }

    #[test]
    fn a_listed_cpu_has_to_exist() {
        let error = choose(&Cpus::List(vec![100_000]), 1).unwrap_err();
        assert!(
            error.to_string().starts_with("CPU 100000 is not available to this process"),
            "{error}"
        );
        assert_eq!(choose(&Cpus::List(vec![0]), 1).unwrap(), [0]);
        let error = choose(&Cpus::List(vec![0]), 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "workers.cpus lists 1 CPU for 2 queues: list one for each, or use \"auto\""
        );
    }
}
