//! Reads a document as its user does: types its commands, and puts its configurations into files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vxtap_tests::{TIMEOUT, wait_until};

use super::page::{Block, Kind};
use super::sandbox::{Running, Sandbox};

/// File that a configuration goes to unless its first line is a comment with another name.
const FILE: &str = "vxtap.toml";

/// Time after which a command that goes on until Ctrl-C is interrupted, once it has written
/// something.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reader of a document.
pub(crate) struct Reader<'s> {
    sandbox: &'s Sandbox,
    /// Parts of the commands that go on until Ctrl-C.
    endless: &'s [&'s str],
    engine: Option<Running>,
    /// File of the last configuration.
    file: String,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(sandbox: &'s Sandbox, endless: &'s [&'s str]) -> Self {
        Self { sandbox, endless, engine: None, file: FILE.to_owned() }
    }

    /// Follows a document from its first block to the last.
    pub(crate) fn read(mut self, blocks: &[Block]) -> Result<()> {
        for (position, block) in blocks.iter().enumerate() {
            let next = blocks.get(position + 1);
            self.follow(block, next).with_context(|| format!("block at line {}", block.line))?;
        }
        self.stop_engine()
    }

    fn follow(&mut self, block: &Block, next: Option<&Block>) -> Result<()> {
        if block.not_run.is_some() {
            return Ok(());
        }
        if block.kind == Kind::Configuration {
            self.configure(&block.text)?;
            let starts = |block: &Block| block.commands().iter().any(|it| is_engine(it));
            return if next.is_some_and(starts) { Ok(()) } else { self.start_engine() };
        }
        for command in block.commands() {
            self.type_in(&command)?;
        }
        Ok(())
    }

    /// Writes and checks a configuration.
    pub(crate) fn configure(&mut self, text: &str) -> Result<()> {
        self.stop_engine()?;
        let comment = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let file = comment.filter(|name| is_toml(name)).unwrap_or(FILE);
        fs::write(self.sandbox.path(file), text)?;
        self.sandbox.run(&format!("vxtap check -c {file}"))?;
        file.clone_into(&mut self.file);
        Ok(())
    }

    /// Starts an engine with the last configuration.
    pub(crate) fn start_engine(&mut self) -> Result<()> {
        self.run_engine(&format!("vxtap run -i eth1 -c {}", self.file))
    }

    /// Types a command. One that starts an engine returns when it runs.
    pub(crate) fn type_in(&mut self, command: &str) -> Result<()> {
        if is_engine(command) && !command.contains('|') {
            return self.run_engine(command);
        }
        let is_tail = command.contains("vxtap tail") && !command.contains("--count");
        if is_tail || self.endless.iter().any(|part| command.contains(part)) {
            return self.interrupt_later(command);
        }
        self.sandbox.run(command).map(drop)
    }

    /// Runs a command that goes on until Ctrl-C; it has to write something first, to its output or
    /// to the file behind `>`.
    fn interrupt_later(&self, command: &str) -> Result<()> {
        let mut running = self.sandbox.start(command)?;
        let target = command.split_once("> ").map(|(_, file)| self.sandbox.path(file.trim()));
        let has_written = |running: &Running| match &target {
            Some(file) => fs::metadata(file).is_ok_and(|file| file.len() > 1000),
            None => !running.output().is_empty(),
        };
        wait_until(&format!("output of `{command}`"), TIMEOUT, || {
            has_written(&running) || running.has_ended().is_ok_and(|status| status.is_some())
        })?;
        let status = running.wait_for(PATIENCE)?;
        ensure!(status.is_none(), "`{command}` ended by itself: {}", running.output());
        running.interrupt().map(drop)
    }

    fn run_engine(&mut self, command: &str) -> Result<()> {
        self.stop_engine()?;
        let mut engine = self.sandbox.start(command)?;
        wait_until(&format!("`{command}` to run"), TIMEOUT, || {
            engine.output().contains("vxtap: running:")
                || engine.has_ended().is_ok_and(|status| status.is_some())
        })?;
        ensure!(engine.has_ended()?.is_none(), "`{command}` ended: {}", engine.output());
        self.engine = Some(engine);
        Ok(())
    }

    fn stop_engine(&mut self) -> Result<()> {
        let Some(engine) = self.engine.take() else { return Ok(()) };
        engine.interrupt().map(drop)
    }
}

fn is_toml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "toml")
}

fn is_engine(command: &str) -> bool {
    command.starts_with("vxtap run")
}
