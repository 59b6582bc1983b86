//! How results reach the terminal: data on stdout in the chosen format, remarks on stderr.
//!
//! A listing is a table, one JSON array, JSON lines, or bare names. Colour never stands alone, and is left
//! out where nobody looks or NO_COLOR is set. Text from peers is made harmless (`harmless`).

use crate::failure::{Failure, printable};
use crate::harmless;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::{LazyLock, OnceLock};

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Ndjson,
    /// Only names or identifiers, one a line.
    Name,
}

/// Why the first line that did not reach stdout could not be written.
static UNSAID: OnceLock<io::Error> = OnceLock::new();

/// The standard library's own handle takes a descriptor that cannot be written to for one that took everything.
static STDOUT: LazyLock<io::Result<File>> =
    LazyLock::new(|| io::stdout().as_fd().try_clone_to_owned().map(File::from));

fn stdout() -> io::Result<&'static File> {
    STDOUT.as_ref().map_err(|error| error.kind().into())
}

/// Why a result did not reach stdout whole, if so. A reader that went away is no reason: `| head` has seen enough.
pub(crate) fn unsaid() -> Option<&'static io::Error> {
    UNSAID.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Whether what is written to this file is kept by nobody. The runtime opens the same for a descriptor that was closed.
fn is_null(file: &File) -> bool {
    let device = |file: io::Result<Metadata>| {
        file.ok().filter(|file| file.file_type().is_char_device()).map(|file| file.rdev())
    };
    device(file.metadata()).is_some_and(|rdev| device(fs::metadata("/dev/null")) == Some(rdev))
}

/// Something that can stand in a listing.
pub trait Listed: Serialize {
    /// Column titles.
    const HEADERS: &'static [&'static str];
    /// The cells.
    fn row(&self) -> Vec<String>;
    /// What `-o name` prints.
    fn name(&self) -> String;
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub format: Format,
    pub quiet: bool,
    pub colour: bool,
}

/// A word that is good, bad or neither; coloured where colour is wanted, and readable without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Dim,
}

impl Output {
    pub fn new(format: Format, quiet: bool, no_colour: bool) -> Self {
        let wanted = !no_colour && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { format, quiet, colour: wanted && io::stdout().is_terminal() }
    }

    /// Whether stdout carries JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Ndjson)
    }

    /// Whether stdout is for programs.
    pub fn is_machine(&self) -> bool {
        self.format != Format::Table
    }

    /// A listing.
    pub fn list<T: Listed>(&self, items: &[T]) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(&items),
            Format::Ndjson => items.iter().try_for_each(|item| self.json_line(item)),
            Format::Name => {
                items.iter().for_each(|item| self.line(&printable(&item.name())));
                Ok(())
            }
            Format::Table if items.is_empty() => {
                self.note("none");
                Ok(())
            }
            Format::Table => {
                self.line(&table(T::HEADERS, items.iter().map(Listed::row)));
                Ok(())
            }
        }
    }

    /// One thing: as JSON, as its name, or as the text that `human` makes of it.
    pub fn one<T: Serialize>(
        &self,
        value: &T,
        name: &str,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(value),
            Format::Ndjson => self.json_line(value),
            Format::Name => {
                self.line(&printable(name));
                Ok(())
            }
            Format::Table => {
                self.line(human(value).trim_end());
                Ok(())
            }
        }
    }

    /// Before something is made whose only copy goes to stdout, as [`Self::only_copy`].
    pub(crate) fn may_be_only_copy(&self, what: &str, instead: &str) -> Result<(), Failure> {
        let why = match stdout() {
            Err(error) => error.to_string(),
            Ok(file) if is_null(file) => "stdout is closed, or /dev/null".to_owned(),
            Ok(_) if self.format == Format::Name => "-o name shows only the name".to_owned(),
            Ok(_) => return Ok(()),
        };
        Err(Failure::usage(format!("{what} would be lost, so nothing was made"))
            .why(format!("it is shown once, on stdout; {why}"))
            .fix(instead))
    }

    /// As [`Self::one`], for what stands nowhere else: where it did not reach stdout, the command failed, and nobody's going
    /// away is an excuse.
    pub(crate) fn only_copy<T: Serialize>(
        &self,
        value: &T,
        name: &str,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        self.one(value, name, human)?;
        UNSAID.get().map_or(Ok(()), |why| {
            Err(Failure::internal("the result could not be written to stdout").why(why.to_string()))
        })
    }

    /// Indented JSON.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        self.line(&harmless::json(serde_json::to_string_pretty(value).map_err(no_json)?));
        Ok(())
    }

    /// JSON on one line.
    pub fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        self.line(&harmless::json(serde_json::to_string(value).map_err(no_json)?));
        Ok(())
    }

    /// A line on stdout, at once: the other end of a pipe may wait for it.
    ///
    /// Never a failure of the act that it tells of: `unsaid` remembers a line that could not be written.
    pub fn line(&self, text: &str) {
        // Remarks that were made before it stand before it.
        touchmark_logging::keep_order();
        let line = harmless::lines(text, self.colour) + "\n";
        if let Err(error) = stdout().and_then(|mut stdout| stdout.write_all(line.as_bytes())) {
            drop(UNSAID.set(error));
        }
    }

    /// A remark on stderr.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            touchmark_logging::line(format_args!("{}", harmless::lines(text, self.colour)));
        }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.colour => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn no_json(error: serde_json::Error) -> Failure {
    Failure::internal("the result has no form in JSON").why(error.to_string())
}

/// Columns, aligned; as wide as the terminal allows.
pub fn table(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers.iter().map(|title| title.to_uppercase()).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    }
    // The preset pads on both sides; nothing stands to the left of a first column.
    let lines = table.to_string();
    let lines = lines.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n")
}
