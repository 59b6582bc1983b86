//! Cargo, called as a child: with its output shown as it comes, or counted, or read.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::{Failed, Passed, StepResult};
use crate::tally::Tally;

/// The cargo that started this program, else the one on the path.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// Runs to the end with the output shown; a non-zero exit is the one fault.
pub(crate) fn show(mut command: Command) -> StepResult {
    let line = line(&command);
    match command.status() {
        Ok(status) if status.success() => Ok(Passed::default()),
        Ok(status) => Err(Failed::because(format!("`{line}`: {status}"))),
        Err(error) => Err(Failed::because(format!("`{line}` could not start: {error}"))),
    }
}

/// Runs `cargo test ...`: shows the output as it comes and adds up what the test programs say.
/// A run without a single test is a fault: no data is never a pass.
pub(crate) fn count_tests(mut command: Command) -> StepResult {
    let line = line(&command);
    let cannot = |error| Failed::because(format!("`{line}` could not run: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        tally = show_and_count(output, std::io::stdout().lock()).map_err(cannot)?;
    }
    let status = child.wait().map_err(cannot)?;
    let says = format!("{} passed, {} failed", tally.passed, tally.failed);
    if status.success() && tally.failed == 0 && tally.passed > 0 {
        Ok(Passed { says, tests: tally })
    } else {
        Err(Failed { faults: vec![format!("`{line}`: {status}, {says}")], tests: tally })
    }
}

/// Runs to the end and hands back what it wrote to its standard output.
pub(crate) fn read(mut command: Command) -> Result<Vec<u8>, Failed> {
    let line = line(&command);
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(Failed::because(format!("`{line}`: {}", output.status))),
        Err(error) => Err(Failed::because(format!("`{line}` could not start: {error}"))),
    }
}

fn show_and_count(output: impl Read, mut shown: impl Write) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        shown.write_all(&line)?;
        shown.flush()?;
        tally.read_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(tally)
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_is_not_utf8_is_shown_and_counted() {
        let output: &[u8] =
            b"noise \xff\xfe\ntest result: ok. 4 passed; 0 failed; 0 ignored\nno newline at the end";
        let mut shown = Vec::new();
        assert_eq!(show_and_count(output, &mut shown).unwrap().passed, 4);
        assert_eq!(shown, output);
    }

    #[test]
    fn a_command_is_named_without_the_folder_of_its_program() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(line(&command), "cargo test --workspace");
    }
}
