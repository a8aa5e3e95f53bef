//! Tries the capture modes of an interface, the best first.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::EngineError;
use super::active_mode::{ActiveMode, ModeFallback};
use super::open_errors::{Reaction, cause, reaction};
use super::queue_builder::{OpenQueue, QueueBuilder, QueueCpu};
use crate::config::{Config, FragmentMode, Output};
use crate::steering::{self, AttachMode, Steering};
use crate::xsk::Umem;

/// Time for which an attempt is repeated whose error passes by itself. Shorter: a start among many
/// signals fails; longer: an error that does not pass is reported later.
const RETRY: Duration = Duration::from_secs(2);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Tries the capture modes of one interface.
pub(super) struct ModeSelection<'a> {
    pub(super) builder: QueueBuilder<'a>,
    pub(super) queue_cpus: Vec<QueueCpu>,
    pub(super) umems: Vec<Arc<Umem>>,
    /// Loaded once; the program stays attached from one mode to the next where both attach it the
    /// same way, because some drivers take the link down for every change.
    pub(super) steering: Option<Box<Steering>>,
    pub(super) attached: Option<AttachMode>,
}

impl ModeSelection<'_> {
    /// Tries the modes in order until one works; adds the others to `fallbacks`.
    pub(super) fn select(
        &mut self,
        modes: &[ActiveMode],
        fallbacks: &mut Vec<ModeFallback>,
        diagnostics: &mut Vec<String>,
    ) -> Result<(ActiveMode, Vec<OpenQueue>), EngineError> {
        for (index, &mode) in modes.iter().enumerate() {
            let is_last = index + 1 == modes.len();
            match self.open_patiently(mode, diagnostics) {
                Ok(open) => return Ok((mode, open)),
                Err(error) if !is_last && reaction(&error) == Reaction::NextMode => {
                    fallbacks.push(ModeFallback { mode, reason: cause(&error) });
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last mode returns")
    }

    /// Opens all queues in one mode; tries again after errors that pass by themselves.
    fn open_patiently(
        &mut self,
        mode: ActiveMode,
        diagnostics: &mut Vec<String>,
    ) -> Result<Vec<OpenQueue>, EngineError> {
        let give_up = Instant::now() + RETRY;
        loop {
            match self.open_all(mode, diagnostics) {
                Err(error) if reaction(&error) == Reaction::Retry && Instant::now() < give_up => {
                    thread::sleep(RETRY_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Opens all queues in one mode.
    fn open_all(
        &mut self,
        mode: ActiveMode,
        diagnostics: &mut Vec<String>,
    ) -> Result<Vec<OpenQueue>, EngineError> {
        match mode.xdp() {
            Some((mode, _)) => self.attach(mode)?,
            None => self.steering = None,
        }
        let mut open = Vec::new();
        for (&index, umem) in self.queue_cpus.iter().zip(&mut self.umems) {
            match self.builder.open(mode, index, umem, diagnostics) {
                Ok(queue) => open.push(queue),
                Err(error) => {
                    let opened = open.len();
                    drop(open);
                    self.replace_memory(mode, opened)?;
                    return Err(error);
                }
            }
        }
        Ok(open)
    }

    /// Makes the memory of the first queues anew if it was bound to a NIC's queue: the kernel takes
    /// it from the NIC some time after the socket was closed, and until then the NIC may write to
    /// it.
    fn replace_memory(&mut self, mode: ActiveMode, opened: usize) -> Result<(), EngineError> {
        if mode != ActiveMode::ZeroCopy {
            return Ok(());
        }
        for umem in &mut self.umems[..opened] {
            let chunk_size = umem.geometry().chunk_size();
            *umem =
                self.builder.umem(chunk_size, Output::count_rings(&self.builder.config.outputs))?;
        }
        Ok(())
    }

    fn attach(&mut self, mode: AttachMode) -> Result<(), EngineError> {
        let QueueBuilder { config, interface } = self.builder;
        let mut steering = match self.steering.take() {
            Some(steering) => steering,
            None => Box::new(load(config)?),
        };
        if self.attached != Some(mode) {
            self.attached = None;
            let attached = steering.attach(interface.index, &interface.name, mode);
            self.attached = attached.is_ok().then_some(mode);
            self.steering = Some(steering);
            return Ok(attached?);
        }
        self.steering = Some(steering);
        Ok(())
    }
}

fn load(config: &Config) -> Result<Steering, EngineError> {
    let capture = &config.capture;
    let ports: Vec<_> = capture.ports.iter().map(|port| port.number).collect();
    let settings = steering::Settings {
        ports: &ports,
        allowed_sources: &capture.allowed_sources,
        stamp_arrival: capture.arrival_times,
        fragments: capture.fragments == FragmentMode::Reassemble,
    };
    // The verifier gives up while a signal is pending.
    Ok(crate::sys::without_signals(|| Steering::load(&settings))?)
}
