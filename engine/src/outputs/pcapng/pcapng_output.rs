//! The output kind `pcapng`: opens the files of a member and runs its thread.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interface_stats::InterfaceStats;
use super::{RotatingWriter, StatsSource, WriterConfig, owner};
use crate::config::{ConfigError, FileName, KeyPath, PcapngFiles};
use crate::outputs::open_context::OpenContext;
use crate::outputs::open_output::{Exclusive, OpenOutput, OutputThread, ThreadContext};
use crate::outputs::output_control::OutputControl;
use crate::outputs::wall_clock::utc_ns;
use crate::outputs::{OutputError, OutputStats};
use crate::ring::{Consumer, Next};

/// Longest wait for frames, and interval of the periodic work on files.
const WAIT: Duration = Duration::from_millis(250);

/// Opens the files of a member.
pub(in crate::outputs) fn open(
    context: &OpenContext<'_>,
    output: &str,
    member: u32,
    path: &Path,
    files: &PcapngFiles,
) -> Result<Option<Box<dyn OpenOutput>>, OutputError> {
    let name = FileName::of(path).map_err(|problem| {
        OutputError::Config(Box::new(ConfigError::InProgram { key: KeyPath::default(), problem }))
    })?;
    // A name without fields is that of one file; the member's number is added to it.
    let path = if name.has_fields() { path.to_owned() } else { name.fixed_path(path, member) };
    // Checked before the file is opened, since that truncates it.
    if let Some(first) = file_id(&path).and_then(|id| context.owner_of(&id)) {
        let (first, second) = (first.clone(), output.to_owned());
        return Err(OutputError::SharedFile { path, first, second });
    }
    let no_owner = |source| OutputError::Owner { output: output.to_owned(), source };
    let owner = files.owner.as_deref().map(owner::find).transpose().map_err(no_owner)?;
    let (diagnostics, title) = (context.diagnostics.clone(), output.to_owned());
    let config = WriterConfig {
        path,
        name,
        files: files.clone(),
        member,
        owner,
        directory: context.directory.clone(),
        sessions: context.sessions.clone(),
        log: Arc::new(move |message| diagnostics.push(format!("output `{title}`: {message}"))),
    };
    let failed = |source| OutputError::Pcapng { output: output.to_owned(), source };
    let writer = RotatingWriter::open(config, Instant::now(), utc_ns()).map_err(failed)?;
    Ok(Some(Box::new(writer)))
}

/// Returns the identity of a regular file; `None` for pipes and terminals, which several outputs
/// may write to, and for a path that does not exist.
fn file_id(path: &Path) -> Option<Exclusive> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some(Exclusive::File(metadata.dev(), metadata.ino()))
}

impl OpenOutput for RotatingWriter {
    fn exclusive(&self) -> Option<Exclusive> {
        self.file_id().map(|(device, inode)| Exclusive::File(device, inode))
    }

    fn start(
        self: Box<Self>,
        context: ThreadContext,
        consumer: Option<Consumer>,
    ) -> Result<Option<OutputThread>, OutputError> {
        let Some(consumer) = consumer else { return Ok(None) };
        let ThreadContext { id, queues, clock, control, .. } = context;
        let mut stats = InterfaceStats::new(queues, id, clock);
        let thread = OutputThread::writer("vxtap-pcapng", move || {
            let (writer, out_of_order) = drain(*self, consumer, &mut stats, &control);
            OutputStats { out_of_order, ..writer.finish(&mut stats) }
        })?;
        Ok(Some(thread))
    }
}

/// Moves frames from the consumer into files until the workers have closed its rings. Returns the
/// writer and the number of frames that came out of order.
fn drain(
    mut writer: RotatingWriter,
    mut consumer: Consumer,
    stats: &mut dyn StatsSource,
    control: &OutputControl,
) -> (RotatingWriter, u64) {
    let (mut rotations, mut is_order_reported) = (0, false);
    let mut ticked_at = Instant::now();
    loop {
        match consumer.next(WAIT) {
            Next::Batch(batch) => {
                for frame in &batch {
                    writer.packet(&frame, stats);
                }
            }
            Next::Idle => {}
            Next::Closed => break,
        }
        let now = Instant::now();
        if now.saturating_duration_since(ticked_at) < WAIT {
            continue;
        }
        ticked_at = now;
        writer.tick(now, stats);
        if consumer.out_of_order() > 0 && !std::mem::replace(&mut is_order_reported, true) {
            writer.log(
                "frames of a queue come later than `order_window_us` allows: they are written after later ones of other queues, and counted",
            );
        }
        let requested = control.rotations();
        if std::mem::replace(&mut rotations, requested) != requested {
            writer.rotate(stats);
        }
        control.store(OutputStats { out_of_order: consumer.out_of_order(), ..writer.stats() });
    }
    (writer, consumer.out_of_order())
}
