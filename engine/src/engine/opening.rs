//! Opens outputs: their files, sockets and interfaces, before anything runs.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::SocketType;

use super::clock::utc_ns;
use super::guests::{Door, Guests};
use super::outlet::{FileId, Opened, Outlet};
use super::stream::{Doors, Settings};
use super::workers::Notes;
use super::{EngineError, owner};
use crate::config::{
    Config, ConfigError, FileName, KeyPath, Output, OutputKind, PcapngFiles, StreamTarget,
};
use crate::interface;
use crate::output::pcapng::{Plan, Series};
use crate::session::{Directory, SessionId};

/// What outputs are opened with.
pub(super) struct Opening<'e> {
    directory: &'e Directory,
    sessions: Vec<SessionId>,
    /// Each is one output's, whatever names lead to it.
    files: HashMap<FileId, String>,
    /// Where streams are read, with the outputs' names.
    targets: Vec<(StreamTarget, String)>,
    /// Longest packet, in bytes, that the frames of interfaces hold.
    mtu: u32,
    notes: Notes,
}

impl<'e> Opening<'e> {
    /// Beside the outputs that are there.
    pub(super) fn new(
        config: &Config,
        directory: &'e mut Directory,
        others: &[Outlet],
        mtu: u32,
        notes: &Notes,
    ) -> Self {
        let alive = others.iter().filter(|outlet| outlet.is_alive());
        let files = alive.filter_map(|outlet| Some((outlet.file?, outlet.name.clone()))).collect();
        let target = |outlet: &Outlet| Some((outlet.stream_target()?.clone(), outlet.name.clone()));
        let targets = others.iter().filter_map(target).collect();
        let sessions = directory.assign(&config.sessions);
        Self { directory, sessions, files, targets, mtu, notes: notes.clone() }
    }

    /// Opens the members of outputs.
    pub(super) fn open<'c>(
        mut self,
        outputs: impl IntoIterator<Item = &'c Output>,
    ) -> Result<Vec<Outlet>, EngineError> {
        let mut outlets = Vec::new();
        for output in outputs {
            let guests = Guests::of(&output.kind, output.members)?;
            for place in 0..output.members {
                let (opened, file) = self.member(output, place)?;
                outlets.push(Outlet::new(output, place, guests.clone(), opened, file));
            }
        }
        Ok(outlets)
    }

    fn member(
        &mut self,
        output: &Output,
        place: u32,
    ) -> Result<(Option<Opened>, Option<FileId>), EngineError> {
        match &output.kind {
            OutputKind::Pcapng { path, files } => self.files(&output.name, place, path, files),
            OutputKind::Interface { interface, vlan_tags } => {
                let interface =
                    output.member_names(interface).nth(place as usize).unwrap_or_default();
                let device = interface::open_tap(&interface, self.mtu).map_err(|source| {
                    EngineError::OutputInterface { output: output.name.clone(), interface, source }
                })?;
                Ok((Some(Opened::Interface(device, *vlan_tags)), None))
            }
            // The first one lets in the consumers of all.
            OutputKind::Shared { path, .. } if place == 0 => {
                let door = Door::open(path, SocketType::SEQPACKET).map_err(|source| {
                    EngineError::Door { output: output.name.clone(), path: path.clone(), source }
                })?;
                Ok((Some(Opened::Door(door)), None))
            }
            OutputKind::Stream(stream) => {
                if let Some((target, first)) =
                    self.targets.iter().find(|(target, _)| *target == stream.target)
                {
                    let (first, second) = (first.clone(), output.name.clone());
                    return Err(EngineError::SharedStream {
                        target: target.to_string(),
                        first,
                        second,
                    });
                }
                let doors = Doors::open(&stream.target).map_err(|source| EngineError::Stream {
                    output: output.name.clone(),
                    target: stream.target.to_string(),
                    source,
                })?;
                if let StreamTarget::Tcp(address) = stream.target
                    && !address.ip().is_loopback()
                {
                    let sentence = "whoever reaches it can read the frames";
                    self.notes
                        .push(format!("output `{}` listens at {address}: {sentence}", output.name));
                }
                let order_window = Duration::from_micros(output.order_window_us.into());
                Ok((Some(Opened::Stream(doors, Settings::of(stream, order_window))), None))
            }
            OutputKind::Shared { .. } | OutputKind::Consumer => Ok((None, None)),
        }
    }

    fn files(
        &mut self,
        output: &str,
        member: u32,
        path: &Path,
        files: &PcapngFiles,
    ) -> Result<(Option<Opened>, Option<FileId>), EngineError> {
        let name = FileName::of(path)
            .map_err(|problem| ConfigError::InProgram { key: KeyPath::default(), problem })?;
        // Without fields it stands for one file, with the member's number in it.
        let path = if name.has_fields() { path.to_owned() } else { name.plain(path, member) };
        // Before it is opened, which would empty it.
        if let Some(first) = file_id(&path).and_then(|id| self.files.get(&id)) {
            let (first, second) = (first.clone(), output.to_owned());
            return Err(EngineError::SharedFile { path, first, second });
        }
        let no_owner = |source| EngineError::Owner { output: output.to_owned(), source };
        let owner = files.owner.as_deref().map(owner::find).transpose().map_err(no_owner)?;
        let (notes, title) = (self.notes.clone(), output.to_owned());
        let plan = Plan {
            path,
            name,
            files: files.clone(),
            member,
            owner,
            directory: self.directory.clone(),
            sessions: self.sessions.clone(),
            tell: Arc::new(move |sentence| notes.push(format!("output `{title}`: {sentence}"))),
        };
        let failed = |source| EngineError::Pcapng { output: output.to_owned(), source };
        let series = Series::open(plan, Instant::now(), utc_ns()).map_err(failed)?;
        let file = series.file_id();
        self.files.extend(file.map(|id| (id, output.to_owned())));
        Ok((Some(Opened::Files(Box::new(series))), file))
    }
}

/// The identity of a regular file; `None` for pipes and terminals, which several may write to, and
/// for what is not there.
fn file_id(path: &Path) -> Option<FileId> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}
