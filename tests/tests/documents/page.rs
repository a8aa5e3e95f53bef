//! The blocks of code in a document.

/// Beginning of the sentence behind a block that says why the tests do not run it.
const MARKER: &str = "Not run in the tests: ";

/// Content of a block, by the word behind its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `sh`: commands.
    Commands,
    /// `console`: commands behind the prompts `# ` and `$ `, and their output.
    Console,
    /// `toml`: a configuration file.
    Configuration,
    /// `text`: output, a drawing, or a part of another program's file.
    Text,
}

/// A block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// Reason for which the tests do not run it, as the document gives it.
    pub(crate) not_run: Option<String>,
}

impl Block {
    /// Returns the commands of the block; a line that ends with a backslash goes on in the next.
    pub(crate) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", "");
        let lines = joined.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let commands: Vec<_> = match self.kind {
            Kind::Commands => lines.collect(),
            Kind::Console => lines
                .filter_map(|line| line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")))
                .collect(),
            Kind::Configuration | Kind::Text => Vec::new(),
        };
        commands.into_iter().map(str::to_owned).collect()
    }
}

/// Returns the blocks of a document.
///
/// # Errors
///
/// A sentence with the line of the first block that is indented instead of fenced, has another word
/// behind its fence, or does not end.
pub(crate) fn blocks(document: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(document.lines()).peekable();
    let mut is_after_blank = true;
    while let Some((line, text)) = lines.next() {
        if is_after_blank && text.starts_with("    ") {
            return Err(format!("line {line}: put code between fences, with a word for its kind"));
        }
        is_after_blank = text.is_empty();
        let Some(word) = text.strip_prefix("```") else { continue };
        let kind = match word {
            "sh" => Kind::Commands,
            "console" => Kind::Console,
            "toml" => Kind::Configuration,
            "text" => Kind::Text,
            _ => {
                return Err(format!(
                    "line {line}: the word {word:?} is none of sh, console, toml, text"
                ));
            }
        };
        let mut content = String::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, text)) => {
                    content += text;
                    content.push('\n');
                }
                None => return Err(format!("line {line}: the block does not end")),
            }
        }
        while lines.next_if(|(_, text)| text.is_empty()).is_some() {
            is_after_blank = true;
        }
        let not_run = lines.peek().and_then(|(_, text)| text.strip_prefix(MARKER));
        blocks.push(Block { kind, line, text: content, not_run: not_run.map(str::to_owned) });
    }
    Ok(blocks)
}

#[test]
fn blocks_have_their_kind_their_commands_and_their_reason() {
    let text = "A text.\n\n```console\n# one | two\noutput\n$ three\n```\n\nNot run in the tests: needs a window.\n\
                ```sh\nfour \\\n  five\n\nsix\n```\n```toml\na = 1\n```\n";
    let blocks = blocks(text).expect("well formed");
    let commands: Vec<_> = blocks.iter().map(Block::commands).collect();
    assert_eq!(commands, [vec!["one | two", "three"], vec!["four   five", "six"], vec![]]);
    let reasons: Vec<_> = blocks.iter().map(|block| block.not_run.as_deref()).collect();
    assert_eq!(reasons, [Some("needs a window."), None, None]);
    assert_eq!(blocks[2].text, "a = 1\n");
}

#[test]
fn code_that_nothing_would_run_is_refused() {
    let refused = |text| blocks(text).expect_err("refused");
    assert_eq!(
        refused("Text\n\n    vxtap run\n"),
        "line 3: put code between fences, with a word for its kind"
    );
    assert_eq!(
        refused("```bash\nvxtap run\n```\n"),
        "line 1: the word \"bash\" is none of sh, console, toml, text"
    );
    assert_eq!(refused("```sh\nvxtap run\n"), "line 1: the block does not end");
}
