//! Frames as a stream of capture records: the output kind `stream`, and `vxtap tail`.
//!
//! One thread for each output, the fan-out, takes the frames from rings that exist only while there
//! are readers, and encodes them for each reader into memory of its own. Another thread for each
//! reader writes that. So a reader that stands still loses only its own frames.
//!
//! | module | content |
//! |---|---|
//! | `listener` | accepts readers: standard output, a named pipe, a socket |
//! | `fanout` | moves frames from the rings to the readers |
//! | `rings` | the rings, from the first reader to the last |
//! | `access`, `peer_user` | decides who may read, and tells those who may not |
//! | `reader_log` | messages about readers |
//! | `stream_settings` | format and limits of a stream |
//! | `attached_reader` | one reader: which frames it gets, and their counts |
//! | `encoder` | frames as records of pcapng or pcap |
//! | `send_queue` | records that wait for a reader, and the thread that writes them |
//! | `outer_stream`, `outer_encoder` | the stream of `vxtap tail --outer`, of copies that the workers make |
//! | `stream_writer` | the file descriptor that is written to, with time limits |
//!
//! The counts of the readers are in `outputs/attach/reader_stats.rs`.

mod access;
mod attached_reader;
mod encoder;
mod fanout;
mod listener;
mod outer_encoder;
mod outer_stream;
mod peer_user;
mod reader_log;
mod rings;
mod send_queue;
mod stream_settings;
mod stream_writer;

use std::time::Duration;

use super::OutputError;
use super::open_context::OpenContext;
use super::open_output::{Exclusive, OpenOutput, OutputThread, ThreadContext};
use crate::config::{Output, Stream, StreamTarget};
use crate::ring::Consumer;
use access::Access;
use fanout::StreamFanout;
pub(crate) use listener::{Incoming, IncomingQueue, Selection, StreamListener};
pub(crate) use outer_stream::{OuterStream, OuterThreads};
pub(crate) use stream_settings::StreamSettings;

/// The target of a stream, open for readers.
#[derive(Debug)]
pub(crate) struct OpenStream {
    listener: StreamListener,
    settings: StreamSettings,
    target: Option<String>,
}

/// Opens the target of a stream.
pub(super) fn open(
    context: &OpenContext<'_>,
    output: &Output,
    stream: &Stream,
) -> Result<Option<Box<dyn OpenOutput>>, OutputError> {
    let target = stream.target.to_string();
    if let Some(first) = context.owner_of(&Exclusive::Target(target.clone())) {
        let (first, second) = (first.clone(), output.name.clone());
        return Err(OutputError::SharedStream { target, first, second });
    }
    let failed = |source| OutputError::Stream {
        output: output.name.clone(),
        target: target.clone(),
        source,
    };
    let access = match stream.target {
        StreamTarget::Tcp(_) => Access::of(&stream.allowed_users).map_err(failed)?,
        _ => Access::All,
    };
    // At another address everybody can read, apart from programs that come from a loopback address.
    if matches!(stream.target, StreamTarget::Tcp(at) if at.ip().to_canonical().is_loopback()) {
        access.check().map_err(failed)?;
    }
    let listener = StreamListener::open(&stream.target).map_err(failed)?;
    if let StreamTarget::Tcp(address) = stream.target {
        let (name, who) = (&output.name, access.describe(address));
        context.diagnostics.push(format!("output `{name}` listens at {address}: {who}"));
    }
    let order_window = Duration::from_micros(output.order_window_us.into());
    let settings = StreamSettings::of(stream, access, order_window);
    Ok(Some(Box::new(OpenStream { listener, settings, target: Some(target) })))
}

impl OpenStream {
    /// Returns the stream of `vxtap tail`, whose readers are put into a queue.
    pub(crate) const fn for_tail(
        incoming: std::sync::Arc<IncomingQueue>,
        readers_max: usize,
    ) -> Self {
        let listener = StreamListener::IncomingQueue(incoming);
        Self { listener, settings: StreamSettings::of_tail(readers_max), target: None }
    }
}

impl OpenOutput for OpenStream {
    fn exclusive(&self) -> Option<Exclusive> {
        self.target.clone().map(Exclusive::Target)
    }

    fn start(
        self: Box<Self>,
        context: ThreadContext,
        _: Option<Consumer>,
    ) -> Result<Option<OutputThread>, OutputError> {
        let Some(service) = context.into_service() else { return Ok(None) };
        let Self { listener, settings, target: _ } = *self;
        let fanout = StreamFanout { service, settings };
        OutputThread::server("vxtap-stream", move || fanout.run(listener)).map(Some)
    }
}
