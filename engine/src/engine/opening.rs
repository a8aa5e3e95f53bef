//! Opens outputs: their files, sockets and interfaces, before anything runs.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::outlet::{FileId, Guests, Opened, Outlet};
use super::shared::Door;
use super::{EngineError, sinks};
use crate::config::{Config, Output, OutputKind};
use crate::interface;
use crate::session::{Directory, SessionId};

/// What outputs are opened with.
pub(super) struct Opening<'e> {
    directory: &'e Directory,
    sessions: Vec<SessionId>,
    /// Each is one output's, whatever names lead to it.
    files: HashMap<FileId, String>,
    /// Longest packet, in bytes, that the frames of interfaces hold.
    mtu: u32,
}

impl<'e> Opening<'e> {
    /// Beside the outputs that are there.
    pub(super) fn new(config: &Config, directory: &'e mut Directory, others: &[Outlet], mtu: u32) -> Self {
        let alive = others.iter().filter(|outlet| outlet.is_alive());
        let files = alive.filter_map(|outlet| Some((outlet.file?, outlet.name.clone()))).collect();
        let sessions = directory.assign(&config.sessions);
        Self { directory, sessions, files, mtu }
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
            OutputKind::Pcapng { path } => self.file(&output.name, path),
            OutputKind::Interface { interface, vlan_tags } => {
                let interface = output.member_names(interface).nth(place as usize).unwrap_or_default();
                let device = interface::open_tap(&interface, self.mtu).map_err(|source| {
                    EngineError::OutputInterface { output: output.name.clone(), interface, source }
                })?;
                Ok((Some(Opened::Interface(device, *vlan_tags)), None))
            }
            // The first one lets in the consumers of all.
            OutputKind::Shared { path, .. } if place == 0 => {
                let door = Door::open(path).map_err(|source| EngineError::Door {
                    output: output.name.clone(),
                    path: path.clone(),
                    source,
                })?;
                Ok((Some(Opened::Door(door)), None))
            }
            OutputKind::Shared { .. } | OutputKind::Consumer => Ok((None, None)),
        }
    }

    fn file(&mut self, output: &str, path: &Path) -> Result<(Option<Opened>, Option<FileId>), EngineError> {
        // Before it is opened, which would empty it.
        if let Some(first) = file_id(path).and_then(|id| self.files.get(&id)) {
            let (path, first, second) = (path.to_owned(), first.clone(), output.to_owned());
            return Err(EngineError::SharedFile { path, first, second });
        }
        let sink = sinks::open(output, path, self.directory, &self.sessions)?;
        let file = file_id(path);
        self.files.extend(file.map(|id| (id, output.to_owned())));
        Ok((Some(Opened::File(Box::new(sink))), file))
    }
}

/// The identity of a regular file; `None` for pipes and terminals, which several may write to, and for what is not there.
fn file_id(path: &Path) -> Option<FileId> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}
